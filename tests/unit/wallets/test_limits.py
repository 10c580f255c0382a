"""Limits of wallets: which apply, and what a refusal says."""

from datetime import UTC, datetime

import pytest

from guilder.kernel.errors import InvariantViolation
from guilder.kernel.ids import WalletId
from guilder.ledger.errors import InsufficientFunds, LimitExceeded
from guilder.ledger.limits import Limit, Measure, Window
from guilder.ledger.models import Outcome, Verdict
from guilder.wallets.limits import NO_LIMITS, SpendingLimits, refused, resets_at

WALLET = WalletId("wallet_01h455vb4pex5vsknk084sn02q")
NOW = datetime(2026, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)


def limit(window: Window, measure: Measure = Measure.AMOUNT) -> Limit:
    return Limit(name="daily", subject=WALLET, maximum=5, window=window, measure=measure)


def test_only_those_of_the_currency() -> None:
    limits = SpendingLimits(per_transfer={"USD": 5}, daily={"USD": 10, "EUR": 7})
    assert [(each.name, each.maximum) for each in limits.of(WALLET, "USD")] == [
        ("per_transfer", 5),
        ("daily", 10),
    ]
    assert [each.window for each in limits.of(WALLET, "EUR")] == [Window.DAY]
    assert limits.of(WALLET, "JPY") == NO_LIMITS.of(WALLET, "USD") == ()
    assert {each.subject for each in limits.of(WALLET, "USD")} == {WALLET}


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window.TRANSFER, None),
        (Window.EVER, None),
        (Window.HOUR, datetime(2027, 1, 1, tzinfo=UTC)),
        (Window.DAY, datetime(2027, 1, 1, tzinfo=UTC)),
        (Window.MONTH, datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_when_it_begins_anew(window: Window, expected: datetime | None) -> None:
    assert resets_at(window, NOW) == expected


@pytest.mark.parametrize("day", [1, 28, 31])
def test_a_month_ends_with_the_month(day: int) -> None:
    assert resets_at(Window.MONTH, NOW.replace(month=1, day=day)) == datetime(
        2026, 2, 1, tzinfo=UTC
    )


def test_the_refusal_names_the_limit() -> None:
    error = refused(Outcome(Verdict.LIMIT_EXCEEDED, limit=limit(Window.DAY)), now=NOW)
    assert isinstance(error, LimitExceeded)
    assert error.detail == (
        "The limit `daily` allows 5 minor units. It begins anew at 2027-01-01T00:00:00.000Z."
    )
    assert (error.retry_after_s, error.fields[0].code) == (1, "limit_daily")


def test_waiting_does_not_help_everywhere() -> None:
    counted = limit(Window.EVER, Measure.COUNT)
    error = refused(Outcome(Verdict.LIMIT_EXCEEDED, limit=counted), now=NOW)
    assert (error.detail, error.retry_after_s) == ("The limit `daily` allows 5 transfers.", None)


def test_other_refusals_are_themselves() -> None:
    assert isinstance(refused(Outcome(Verdict.INSUFFICIENT_FUNDS), now=NOW), InsufficientFunds)
    with pytest.raises(InvariantViolation):
        refused(Outcome(Verdict.CREATED), now=NOW)
