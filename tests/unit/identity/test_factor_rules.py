"""What comes of an approval, and when a challenge is over."""

from datetime import UTC, datetime, timedelta

import pytest

from guilder.identity.factors.rules import Approval, Standing, Use, canonical, is_open, use_of

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("standing", "is_same", "spent_by", "key", "use"),
    [
        (Standing.OPEN, True, None, "k", Use.REFUSE),
        (Standing.APPROVED, True, None, "k", Use.SPEND),
        (Standing.APPROVED, True, None, None, Use.SPEND),
        (Standing.APPROVED, False, None, "k", Use.REFUSE_AND_SPEND),
        (Standing.SPENT, True, "k", "k", Use.REPEAT),
        (Standing.SPENT, False, "k", "k", Use.REFUSE),
        (Standing.SPENT, True, "k", "other", Use.REFUSE),
        (Standing.SPENT, True, None, "k", Use.REFUSE),
        (Standing.SPENT, True, None, None, Use.REFUSE),
        (Standing.SPENT, True, "k", None, Use.REFUSE),
    ],
    ids=str,
)
def test_what_comes_of_an_approval(
    standing: Standing, is_same: bool, spent_by: str | None, key: str | None, use: Use
) -> None:
    approval = Approval(standing=standing, is_same=is_same, expires_at=LATER, spent_by=spent_by)
    assert use_of(approval, key=key, now=NOW) is use


def test_an_approval_ends_but_its_request_may_come_again() -> None:
    fresh = Approval(standing=Standing.APPROVED, is_same=True, expires_at=NOW, spent_by=None)
    assert use_of(fresh, key="k", now=NOW) is Use.REFUSE
    spent = Approval(standing=Standing.SPENT, is_same=True, expires_at=NOW, spent_by="k")
    assert use_of(spent, key="k", now=LATER) is Use.REPEAT


def test_a_challenge_takes_five_attempts_in_its_time() -> None:
    assert is_open(Standing.OPEN, attempts=4, expires_at=LATER, now=NOW)
    assert not is_open(Standing.OPEN, attempts=5, expires_at=LATER, now=NOW)
    assert not is_open(Standing.OPEN, attempts=0, expires_at=NOW, now=NOW)
    assert not is_open(Standing.APPROVED, attempts=0, expires_at=LATER, now=NOW)
    assert not is_open(Standing.SPENT, attempts=0, expires_at=LATER, now=NOW)


def test_equal_orders_only_have_one_form() -> None:
    one = canonical("transfer", {"amount_minor": 1, "payee": "a"})
    assert one == canonical("transfer", {"payee": "a", "amount_minor": 1})
    others = [
        canonical("payout", {"amount_minor": 1, "payee": "a"}),
        canonical("transfer", {"amount_minor": "1", "payee": "a"}),
        canonical("transfer", {"amount_minor": 1, "payee": 'a","x":"'}),
        canonical("transfer", {"amount_minor": 1}),
    ]
    assert one not in others
