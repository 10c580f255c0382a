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


def rfc3339(time: datetime) -> str:
    """Write an aware UTC time as it goes over the wire: to the millisecond, with `Z`.

    >>> rfc3339(datetime(2026, 1, 31, 12, tzinfo=UTC))
    '2026-01-31T12:00:00.000Z'
    """
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
