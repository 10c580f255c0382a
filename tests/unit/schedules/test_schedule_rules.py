"""When occurrences are due, and when a refused one is tried again."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guilder.kernel.errors import InvalidRequest
from guilder.ledger.models import Verdict
from guilder.schedules.rules import Every, due_at, following, refuse_impossible, retry_at

START = datetime(2027, 1, 31, 9, 30, tzinfo=UTC)
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def days(start: datetime, every: Every | None, count: int) -> list[str]:
    return [f"{due_at(start, every, number):%Y-%m-%d}" for number in range(1, count + 1)]


def test_a_month_that_is_too_short_ends_it_and_the_next_is_whole_again() -> None:
    assert days(START, Every.MONTH, 5) == [
        "2027-01-31",
        "2027-02-28",
        "2027-03-31",
        "2027-04-30",
        "2027-05-31",
    ]
    assert due_at(START, Every.MONTH, 14) == START.replace(year=2028, month=2, day=29)
    assert due_at(START, Every.MONTH, 13) == START.replace(year=2028)


def test_days_and_weeks_and_once() -> None:
    assert days(START, Every.DAY, 2) == ["2027-01-31", "2027-02-01"]
    assert days(START, Every.WEEK, 2) == ["2027-01-31", "2027-02-07"]
    assert days(START, None, 1) == ["2027-01-31"]


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(Every),
    st.integers(1, 1_000),
)
def test_each_is_later_than_the_one_before(start: datetime, every: Every, number: int) -> None:
    first, second = (due_at(start, every, each) for each in (number, number + 1))
    longest = {Every.DAY: 1, Every.WEEK: 7, Every.MONTH: 31}[every]
    assert timedelta(0) < second - first <= timedelta(days=longest)
    assert first.timetz() == start.timetz()


def test_the_last_one_has_none_after_it() -> None:
    for every, number, count, until, expected in (
        (None, 1, None, None, None),
        (Every.DAY, 1, 1, None, None),
        (Every.DAY, 1, 2, None, START + timedelta(days=1)),
        (Every.DAY, 2, 2, None, None),
        (Every.DAY, 999, None, None, START + timedelta(days=999)),
        (Every.DAY, 1, None, START + timedelta(days=1), START + timedelta(days=1)),
        (Every.DAY, 2, None, START + timedelta(days=1), None),
    ):
        assert following(START, every, number, count=count, until=until) == expected


def test_tried_again_after_one_six_and_twenty_four_hours() -> None:
    at, hours = NOW, []
    for attempts in (1, 2, 3):
        found = retry_at(Verdict.INSUFFICIENT_FUNDS, attempts=attempts, now=at, next_due_at=None)
        assert found is not None
        at = found
        hours.append((at - NOW) // timedelta(hours=1))
    assert hours == [1, 6, 24]
    assert retry_at(Verdict.INSUFFICIENT_FUNDS, attempts=4, now=at, next_due_at=None) is None


def test_given_up_when_the_next_is_due_or_nothing_will_change() -> None:
    for verdict, next_in_h, is_tried in (
        (Verdict.INSUFFICIENT_FUNDS, 2, True),
        (Verdict.INSUFFICIENT_FUNDS, 1, False),
        (Verdict.LIMIT_EXCEEDED, 2, True),
        (Verdict.ACCOUNT_FROZEN, 2, True),
        (Verdict.ACCOUNT_CLOSED, 2, False),
        (Verdict.OVERFLOW, 2, False),
    ):
        next_due_at = NOW + timedelta(hours=next_in_h)
        found = retry_at(verdict, attempts=1, now=NOW, next_due_at=next_due_at)
        assert (found is not None) is is_tried


@pytest.mark.parametrize(
    ("pointers", "changes"),
    [
        (["/start_at"], {"start_at": NOW - timedelta(milliseconds=1)}),
        (["/start_at"], {"start_at": NOW + timedelta(days=1831)}),
        (["/count"], {"every": None, "count": 2}),
        (["/until"], {"every": None, "until": START}),
        (["/until"], {"count": 2, "until": START}),
        (["/until"], {"until": START - timedelta(milliseconds=1)}),
        ([], {"start_at": NOW}),
        ([], {"until": START}),
        ([], {"every": None}),
    ],
)
def test_what_cannot_be_planned(pointers: list[str], changes: dict[str, object]) -> None:
    plan = {"start_at": START, "every": Every.DAY, "count": None, "until": None, **changes}
    with contextlib.nullcontext() if not pointers else pytest.raises(InvalidRequest) as caught:
        refuse_impossible(**plan, now=NOW)  # type: ignore[arg-type]
    found = [] if caught is None else [each.pointer for each in caught.value.fields]
    assert found == pointers
