"""The only reader of the wall clock. Money uses the database's time, read once per batch."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns an aware UTC time. Features take one as an argument, so that tests can move it."""


def utc_now() -> datetime:
    """Return the time of this machine, aware, in UTC, to the millisecond.

    Milliseconds because that is the finest unit that both storage engines keep.
    """
    return to_milliseconds(datetime.now(UTC))


def to_milliseconds(time: datetime) -> datetime:
    """Cut a time to whole milliseconds."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
