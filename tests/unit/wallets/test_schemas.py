"""Wallets on the wire: every number is where it belongs."""

import json
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import ValidationError

from guilder.kernel.ids import UserId, WalletId
from guilder.storage.records import Leg
from guilder.wallets.models import Wallet
from guilder.wallets.rules import line
from guilder.wallets.schemas import (
    Balance,
    BalanceAfter,
    TransactionAnswer,
    TransactionsQuery,
    WalletAnswer,
)
from guilder.wallets.service import Party, WalletView
from tests.support.books import NOON, account, account_id, stored_transfer

WALLET = WalletId("wallet_01h455vb4pex5vsknk084sn02q")
ACCOUNT = account("payer", posted=100, pending_in=7, pending_out=30, sequence=4)


def test_a_balance_names_its_parts() -> None:
    assert Balance.of(ACCOUNT, as_of=NOON).model_dump() == {
        "currency": "USD",
        "posted": 100,
        "pending_in": 7,
        "pending_out": 30,
        "available": 70,
        "version": 4,
        "as_of": "2026-01-31T12:00:00.000Z",
    }


def test_the_balance_after_is_the_legs() -> None:
    assert BalanceAfter.of(Leg(4, 100, 7, 30), "EUR").model_dump() == {
        "currency": "EUR",
        "posted": 100,
        "pending_in": 7,
        "pending_out": 30,
        "available": 70,
        "version": 4,
    }


def test_a_wallet_shows_what_may_be_spent_in_its_default_currency() -> None:
    wallet = Wallet(
        id=WALLET,
        user_id=UserId("user_x"),
        default_currency="USD",
        created_at=NOON,
        updated_at=NOON,
    )
    euro = replace(ACCOUNT, asset="EUR", posted=1_000)
    answer = WalletAnswer.of(WalletView(wallet, [euro, ACCOUNT], NOON))
    assert (answer.balance, answer.currency) == (70, "USD")
    assert [(each.currency, each.available) for each in answer.balances] == [
        ("EUR", 970),
        ("USD", 70),
    ]
    assert answer.user_id == "user_x"


def test_a_transaction_has_the_specifications_fields() -> None:
    sent = replace(stored_transfer(), metadata={"description": "Dinner"}, position=42)
    party = Party(wallet_id=WalletId("wallet_x"), name="Payer")
    answer = TransactionAnswer.of(line(sent, [account_id("payee")]), wallet_id=WALLET, party=party)
    found = json.loads(answer.model_dump_json())
    assert found.pop("transaction_id").startswith("transfer_")
    assert found.pop("balance_after")["posted"] == 5
    assert found == {
        "wallet_id": WALLET,
        "type": "credit",
        "amount": 5,
        "currency": "USD",
        "status": "completed",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "counterparty": {"wallet_id": "wallet_x", "name": "Payer"},
        "description": "Dinner",
        "category": "transfer",
        "position": 42,
    }


@pytest.mark.parametrize(
    "query",
    [
        {"type": "sideways"},
        {"status": "unknown"},
        {"currency": "US"},
        {"created[gte]": "yesterday"},
        {"amount[gte]": "-1"},
        {"amount[lt]": str(2**63)},
        {"amount[gte]": "1.5"},
        {"limit": "0"},
        {"limit": "101"},
        {"cursor": "x" * 1025},
        {"sort": "amount"},
        {"created_at_least": "2026-01-01T00:00:00Z"},
    ],
    ids=str,
)
def test_filters_that_are_refused(query: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TransactionsQuery.model_validate(query)


def test_filters_as_they_come() -> None:
    query = TransactionsQuery.model_validate(
        {"type": "debit", "amount[gte]": "5", "amount[lt]": str(2**63 - 1), "limit": "100"}
    )
    assert (query.type, query.amount_at_least, query.limit) == ("debit", 5, 100)
    assert TransactionsQuery().limit == 25
