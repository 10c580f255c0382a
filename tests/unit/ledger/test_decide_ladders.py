"""Every verdict in its declared order: each row takes one refusal away and meets the next.

The rows of a ladder add up. Whoever swaps two checks in `decide`, or drops one, meets another
verdict than the row says.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from guilder.ledger.decide import Decision, decide
from guilder.ledger.models import AMOUNT_MAX, Verdict
from guilder.storage.records import GENESIS, Hold, TransferKind
from tests.support.books import NOON, account, account_id, fingerprint, request, transfer_id

Row = tuple[dict[str, Any], Verdict]

HELD = Hold(
    id=transfer_id("hold"),
    debit_account_id=account_id("someone"),
    credit_account_id=account_id("other"),
    asset="USD",
    amount_minor=50,
    remaining_minor=0,
    expires_at=NOON,
)
AT_FIRST: dict[str, Any] = {
    "known": True,
    "debit": None,
    "credit": None,
    "debit.is_frozen": True,
    "debit.is_closed": True,
    "debit.asset": "EUR",
    "credit.is_closed": True,
    "credit.asset": "EUR",
    "from": "payer",
    "to": "payee",
    "amount": 0,
    "hold_id": None,
}
ACCOUNTS: list[Row] = [
    ({}, Verdict.EXISTS_DIFFERENT),
    ({"known": False}, Verdict.ACCOUNT_NOT_FOUND),
    ({"debit": {"posted": 10}}, Verdict.ACCOUNT_NOT_FOUND),
    ({"debit": None, "credit": {"posted": 1}}, Verdict.ACCOUNT_NOT_FOUND),
    ({"debit": {"posted": 10}}, Verdict.ACCOUNT_FROZEN),
    ({"debit.is_frozen": False}, Verdict.ACCOUNT_CLOSED),
    ({"debit.is_closed": False}, Verdict.ACCOUNT_CLOSED),
    ({"credit.is_closed": False, "debit.is_closed": True}, Verdict.ACCOUNT_CLOSED),
    ({"debit.is_closed": False}, Verdict.ASSET_MISMATCH),
    ({"debit.asset": "USD"}, Verdict.ASSET_MISMATCH),
    ({"debit.asset": "EUR", "credit.asset": "USD"}, Verdict.ASSET_MISMATCH),
    ({"debit.asset": "USD", "to": "payer"}, Verdict.SAME_ACCOUNT),
    ({"to": "payee"}, Verdict.AMOUNT_INVALID),
    ({"amount": -1}, Verdict.AMOUNT_INVALID),
    ({"amount": AMOUNT_MAX + 1}, Verdict.AMOUNT_INVALID),
]
POSTS: list[Row] = [
    *ACCOUNTS,
    ({"amount": AMOUNT_MAX}, Verdict.INSUFFICIENT_FUNDS),
    ({"amount": 11}, Verdict.INSUFFICIENT_FUNDS),
    ({"amount": 10, "debit": {"posted": 10, "pending_out": 1}}, Verdict.INSUFFICIENT_FUNDS),
    ({"amount": AMOUNT_MAX, "debit": {"no_overdraft": False}}, Verdict.OVERFLOW),
    (
        {"amount": AMOUNT_MAX, "debit": {"no_overdraft": False, "posted": -2}, "credit": {}},
        Verdict.OVERFLOW,
    ),
    ({"debit": {"no_overdraft": False, "posted": -1}}, Verdict.CREATED),
]
HOLDS: list[Row] = [
    *ACCOUNTS,
    ({"amount": AMOUNT_MAX}, Verdict.INSUFFICIENT_FUNDS),
    ({"amount": 10, "debit": {"posted": 10, "pending_out": 1}}, Verdict.INSUFFICIENT_FUNDS),
    ({"amount": AMOUNT_MAX, "debit": {"no_overdraft": False, "pending_out": 1}}, Verdict.OVERFLOW),
    ({"debit": {"no_overdraft": False}, "credit": {"pending_in": 1}}, Verdict.OVERFLOW),
    ({"credit": {}}, Verdict.CREATED),
]
SETTLED_ACCOUNTS: list[Row] = [
    (fixes, Verdict.ACCOUNT_CLOSED if verdict is Verdict.ACCOUNT_FROZEN else verdict)
    for fixes, verdict in ACCOUNTS
]
"""A freeze does not matter: what is reserved may move, or be given back."""
HOLD_STATES: list[Row] = [
    (
        {"hold_id": None, "debit": {"posted": 60, "pending_out": 50}, "credit": {"pending_in": 50}},
        Verdict.HOLD_NOT_FOUND,
    ),
    ({"hold_id": transfer_id("none")}, Verdict.HOLD_NOT_FOUND),
    ({"hold_id": HELD.id}, Verdict.HOLD_NOT_FOUND),
    ({"hold.debit_account_id": account_id("payer")}, Verdict.HOLD_NOT_FOUND),
    (
        {
            "hold.debit_account_id": account_id("someone"),
            "hold.credit_account_id": account_id("payee"),
        },
        Verdict.HOLD_NOT_FOUND,
    ),
    ({"hold.debit_account_id": account_id("payer")}, Verdict.HOLD_SETTLED),
]
CAPTURES: list[Row] = [
    *SETTLED_ACCOUNTS,
    ({"amount": AMOUNT_MAX}, Verdict.HOLD_NOT_FOUND),
    *HOLD_STATES,
    ({"hold.remaining_minor": 50}, Verdict.HOLD_EXPIRED),
    ({"hold.expires_at": NOON - timedelta(days=1)}, Verdict.HOLD_EXPIRED),
    ({"hold.expires_at": NOON + timedelta(milliseconds=1)}, Verdict.CAPTURE_EXCEEDS_HOLD),
    ({"hold.expires_at": None}, Verdict.CAPTURE_EXCEEDS_HOLD),
    ({"amount": 51}, Verdict.CAPTURE_EXCEEDS_HOLD),
    ({"amount": 50, "credit": {"posted": AMOUNT_MAX - 49, "pending_in": 50}}, Verdict.OVERFLOW),
    (
        {
            "credit": {"posted": 0, "pending_in": 50},
            "debit": {"no_overdraft": False, "posted": -(2**63) + 49, "pending_out": 50},
        },
        Verdict.OVERFLOW,
    ),
    (
        {"debit": {"no_overdraft": False, "posted": -(2**63) + 50, "pending_out": 50}},
        Verdict.CREATED,
    ),
]
RELEASES: list[Row] = [
    *(row for row in SETTLED_ACCOUNTS if row[1] is not Verdict.AMOUNT_INVALID),
    ({"to": "payee", "amount": 1}, Verdict.AMOUNT_INVALID),
    ({"amount": -1}, Verdict.AMOUNT_INVALID),
    ({"amount": 0}, Verdict.HOLD_NOT_FOUND),
    *HOLD_STATES,
    ({"hold.remaining_minor": 50}, Verdict.CREATED),
]
LADDERS = {
    TransferKind.POST: POSTS,
    TransferKind.HOLD: HOLDS,
    TransferKind.CAPTURE: CAPTURES,
    TransferKind.PARTIAL_CAPTURE: CAPTURES,
    TransferKind.RELEASE: RELEASES,
}


def cases() -> Iterator[Any]:
    for kind, rows in LADDERS.items():
        world = dict(AT_FIRST)
        for number, (fixes, verdict) in enumerate(rows):
            world = {**world, **fixes}
            yield pytest.param(kind, world, verdict, id=f"{kind.name.lower()}-{number}-{verdict}")


@pytest.mark.parametrize(("kind", "world", "verdict"), list(cases()))
def test_the_first_verdict_that_applies_is_given(
    kind: TransferKind, world: dict[str, Any], verdict: Verdict
) -> None:
    decision = decided(kind, world)
    (outcome,) = decision.outcomes
    assert outcome.verdict is verdict
    if verdict is Verdict.CREATED:
        assert outcome.transfer == decision.transfers[0]
        assert decision.head.position == GENESIS.position + 1
        assert decision.head.revision == GENESIS.revision + 1
    else:
        assert (decision.transfers, decision.accounts, decision.holds) == ([], {}, {})
        assert decision.head == GENESIS


def test_every_verdict_stands_on_some_ladder() -> None:
    met = {verdict for rows in LADDERS.values() for _, verdict in rows}
    assert set(Verdict) - met == {
        Verdict.EXISTS,
        Verdict.GROUP_FAILED,
        # These have ladders of their own, in `test_decide_counters.py`.
        Verdict.LIMIT_EXCEEDED,
        Verdict.ORIGINAL_NOT_FOUND,
        Verdict.REVERSAL_EXCEEDS_ORIGINAL,
    }


def test_ladders_follow_the_declared_order() -> None:
    order = list(Verdict)
    for kind, rows in LADDERS.items():
        places = [order.index(verdict) for _, verdict in rows if verdict is not Verdict.CREATED]
        assert places == sorted(places), kind


def decided(kind: TransferKind, world: dict[str, Any]) -> Decision:
    wanted = request(
        world["from"],
        world["to"],
        world["amount"],
        kind=kind,
        id=transfer_id("it"),
        hold_id=world["hold_id"],
    )
    accounts = {}
    for side, name in (("debit", "payer"), ("credit", "payee")):
        if world[side] is not None:
            flags = {
                key.partition(".")[2]: value
                for key, value in world.items()
                if key.startswith(f"{side}.")
            }
            found = account(name, **flags, **world[side])
            accounts[found.id] = found
    hold = replace(HELD, **{k[5:]: v for k, v in world.items() if k.startswith("hold.")})
    existing = {}
    if world["known"]:
        existing = {wanted.id: known_transfer()}
    return decide(
        [wanted],
        accounts=accounts,
        holds={hold.id: hold},
        existing=existing,
        head=GENESIS,
        now=NOON,
    )


def known_transfer() -> Any:
    payer, payee = account("payer", posted=100), account("payee")
    other = request("payer", "payee", id=transfer_id("it"), fingerprint=fingerprint("another"))
    return decide(
        [other],
        accounts={payer.id: payer, payee.id: payee},
        holds={},
        existing={},
        head=GENESIS,
        now=NOON,
    ).transfers[0]
