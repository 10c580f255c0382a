"""The answer to a transfer is made of the transfer alone, so that every retry gets the same."""

import json

from msgspec.structs import replace

from guilder.kernel.ids import WalletId
from guilder.ledger.decide import decide
from guilder.storage.records import GENESIS
from guilder.transfers.schemas import TransferAnswer
from tests.support.books import NOON, account, request, transfer_id

SENDER = WalletId("wallet_01h455vb4pex5vsknk084sn02q")


def test_it_says_what_the_journal_says() -> None:
    payer, payee = account("payer", posted=100, pending_out=10, sequence=3), account("payee")
    asked = request("payer", "payee", 30, id=transfer_id("it"), metadata={"to": "wallet_x"})
    accounts = {each.id: each for each in (payer, payee)}
    (sent,) = decide(
        [asked], accounts=accounts, holds={}, existing={}, head=GENESIS, now=NOON
    ).transfers
    found = json.loads(TransferAnswer.of(sent, sender=SENDER).model_dump_json())
    assert found.pop("transaction_id").startswith("transfer_")
    assert found == {
        "wallet_id": SENDER,
        "type": "debit",
        "amount": 30,
        "currency": "USD",
        "status": "completed",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "counterparty": {"wallet_id": "wallet_x"},
        "description": "",
        "balance_after": {
            "currency": "USD",
            "posted": 70,
            "pending_in": 0,
            "pending_out": 10,
            "available": 60,
            "version": 4,
        },
    }
    described = replace(sent, metadata={"to": "wallet_x", "description": "Dinner"})
    assert TransferAnswer.of(described, sender=SENDER).description == "Dinner"
