"""When a schedule's occurrences are due, and when one that is refused is tried again. UTC only.

A monthly schedule that starts on the 29th, 30th or 31st falls on the last day of a month that has
fewer: 31 January, 28 February, 31 March. What a stopped server has missed is paid once it runs
again: every occurrence, in order.
"""

import calendar
from datetime import datetime, timedelta
from enum import StrEnum

from guilder.kernel.errors import FieldError, InvalidRequest
from guilder.ledger.models import Verdict

COUNT_MAX = 1_000
START_AT_MOST = timedelta(days=5 * 366)
"""How far away a schedule may start."""
RETRY_AFTER = (timedelta(hours=1), timedelta(hours=5), timedelta(hours=18))
"""Pauses after the first, second and third refusal; there is no fifth attempt."""
_RETRIED = (Verdict.INSUFFICIENT_FUNDS, Verdict.LIMIT_EXCEEDED, Verdict.ACCOUNT_FROZEN)
_MONTHS = 12


class Every(StrEnum):
    """How often."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_STEPS: dict[Every | None, timedelta] = {
    Every.DAY: timedelta(days=1),
    Every.WEEK: timedelta(weeks=1),
}


class ScheduleStatus(StrEnum):
    """Where a schedule stands. It leaves `active` once, and then stays."""

    ACTIVE = "active"
    """There is at least one occurrence to come."""
    COMPLETED = "completed"
    """The last occurrence was paid or given up."""
    CANCELLED = "cancelled"
    """Its owner has stopped it."""


class OccurrenceStatus(StrEnum):
    """What became of an occurrence."""

    PAID = "paid"
    FAILED = "failed"


def due_at(start_at: datetime, every: Every | None, number: int) -> datetime:
    """Return when an occurrence is due.

    Args:
        every: None: the schedule has one occurrence only.
        number: From 1.
    """
    past = number - 1
    if every is Every.MONTH:
        years, month = divmod(start_at.month - 1 + past, _MONTHS)
        year = start_at.year + years
        last = calendar.monthrange(year, month + 1)[1]
        return start_at.replace(year=year, month=month + 1, day=min(start_at.day, last))
    return start_at + past * _STEPS.get(every, timedelta())


def following(
    start_at: datetime,
    every: Every | None,
    number: int,
    *,
    count: int | None,
    until: datetime | None,
) -> datetime | None:
    """Return when the occurrence after `number` is due; None if `number` is the last."""
    if every is None or (count is not None and number >= count):
        return None
    due = due_at(start_at, every, number + 1)
    return due if until is None or due <= until else None


def retry_at(
    verdict: Verdict, *, attempts: int, now: datetime, next_due_at: datetime | None
) -> datetime | None:
    """Return when a refused occurrence is tried again; None if it is given up.

    Only what may change by itself is tried again, and only before the next occurrence is due.

    Args:
        attempts: How many were made, this one too: at least 1.
        next_due_at: Of the next occurrence, if there is one.
    """
    if verdict not in _RETRIED or attempts > len(RETRY_AFTER):
        return None
    at = now + RETRY_AFTER[attempts - 1]
    return None if next_due_at is not None and at >= next_due_at else at


def refuse_impossible(
    *,
    start_at: datetime,
    every: Every | None,
    count: int | None,
    until: datetime | None,
    now: datetime,
) -> None:
    """Check when a new schedule runs.

    Raises:
        InvalidRequest: It starts in the past or too late, or its end is none.
    """
    found: list[FieldError] = []
    if not now <= start_at <= now + START_AT_MOST:
        detail = f"Give a time from now to {START_AT_MOST.days} days from now."
        found.append(FieldError("/start_at", "out_of_range", detail))
    if every is None and (count, until) != (None, None):
        pointer = "/count" if count is not None else "/until"
        found.append(FieldError(pointer, "without_every", "Give `every`, too."))
    if count is not None and until is not None:
        found.append(FieldError("/until", "count_too", "Give `count` or `until`, not both."))
    if until is not None and until < start_at:
        found.append(FieldError("/until", "out_of_range", "Give a time after `start_at`."))
    if found:
        raise InvalidRequest(fields=tuple(found))
