"""What a leaf says of a transfer, and to whom."""

import json

import pytest
from msgspec.structs import replace

from guilder.ledger.proofs import leaf_of, parts, sealed
from guilder.storage.records import Leg
from tests.support.books import fingerprint, stored_transfer, transfer_id

KEY, OTHER_KEY = bytes(range(32)), bytes(32)


def test_each_side_has_a_part_of_its_own() -> None:
    transfer = stored_transfer()
    common, debit, credit, chain = parts(transfer, KEY)
    assert [each.name for each in (common, debit, credit, chain)] == [
        "common",
        "debit",
        "credit",
        "chain",
    ]
    assert chain.content is None
    told = json.loads(common.content or b"")
    assert (told["amount"], told["currency"], told["position"]) == (5, "USD", 1)
    assert json.loads(debit.content or b"")["posted"] == transfer.debit.posted
    assert json.loads(credit.content or b"")["posted"] == transfer.credit.posted
    assert b"95" not in (common.content or b"") + (credit.content or b"")


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": 6},
        {"id": transfer_id("another")},
        {"debit": Leg(1, 96, 0, 0)},
        {"credit": Leg(2, 5, 0, 0)},
        {"hash": fingerprint("another")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_leaf_covers_everything(change: dict[str, object]) -> None:
    transfer = stored_transfer()
    assert leaf_of(replace(transfer, **change), KEY) != leaf_of(transfer, KEY)


def test_nobody_can_guess_without_the_key() -> None:
    transfer = stored_transfer()
    ours = {each.name: each.hash for each in parts(transfer, KEY)}
    guessed = {each.name: each.hash for each in parts(transfer, OTHER_KEY)}
    assert [name for name in ours if ours[name] == guessed[name]] == ["common"]
    assert sealed(transfer.hash, KEY) != sealed(transfer.hash, OTHER_KEY)
    same_balances = replace(transfer, id=transfer_id("another"))
    others = {each.name: each.hash for each in parts(same_balances, KEY)}
    assert ours["debit"] != others["debit"], "the same balance looks different each time"
