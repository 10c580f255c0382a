"""Pages of a list, and the opaque cursors between them: where a page ended, and its filters.

A cursor is not a secret and not signed: it only says from where to read on in a list that the
caller may read anyway. What comes back is therefore checked like any other input, value by value.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import msgspec

from guilder.kernel.errors import GuilderError, Kind, Malformed

T = TypeVar("T")
P = TypeVar("P", bound=tuple[object, ...])

Place = tuple[int | str | datetime, ...]
"""Where a page ended: the values that its list is ordered by, of its last row."""

Filters = Mapping[str, str | int | datetime | None]
"""What a list is filtered and ordered by, and its name, so that no list takes another's cursor."""

_MAX_LENGTH = 1024
"""Characters. The longest place is an id and one indexed value; more is not ours."""

_INT64 = range(-(2**63), 2**63)
"""Neither engine can be asked about an integer outside it."""


class CursorMismatch(GuilderError):
    """A cursor is used with the filters of the list that gave it."""

    code = "cursor_mismatch"
    kind = Kind.MALFORMED
    title = "The cursor belongs to another list"


# Not slotted: with slots, `Page[int](...)` raises TypeError in Python 3.11.
@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list, in the shape that goes over the wire.

    Args:
        data: Rows in the order of the list.
        has_more: There is at least one row after these.
        next_cursor: Where to read on; None on the last page.
    """

    data: list[T]
    has_more: bool
    next_cursor: str | None


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    filters: bytes
    place: msgspec.Raw


def page_of(rows: Sequence[T], *, limit: int, cursor: Callable[[T], str]) -> Page[T]:
    """Make a page from up to `limit` + 1 rows: the one too many says that there are more.

    Args:
        rows: In the order of the list.
        limit: Rows to a page, at least 1.
        cursor: Returns the cursor that reads on after a row.
    """
    data = list(rows[:limit])
    has_more = len(rows) > limit
    return Page(data=data, has_more=has_more, next_cursor=cursor(data[-1]) if has_more else None)


def encode_cursor(place: Place, filters: Filters) -> str:
    """Write where a page ended as opaque, URL-safe text.

    Args:
        place: Integers of int64, text, aware times.
        filters: Equal for two requests if they are for the same list. The
            order of the keys does not matter.
    """
    raw = msgspec.msgpack.encode(
        _Cursor(_mark(filters), msgspec.Raw(msgspec.msgpack.encode(place)))
    )
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(text: str, filters: Filters, *, place: type[P]) -> P:
    """Read where to go on out of a cursor.

    Args:
        text: What the caller sent: any text.
        filters: Of this request.
        place: The expected shape, such as `tuple[int]` or `tuple[datetime, str]`.

    Returns:
        A value of that shape, which storage can be asked about: integers are of
        int64, text has no NUL, times are aware.

    Raises:
        CursorMismatch: It is a cursor, but was given for other filters.
        Malformed: It is no cursor for a list of this shape.
    """
    if len(text) > _MAX_LENGTH:
        raise Malformed(_UNREADABLE)
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(raw, type=_Cursor)
    except _DECODING as error:
        raise Malformed(_UNREADABLE) from error
    if cursor.filters != _mark(filters):
        raise CursorMismatch("Send a cursor with the same filters as the page that gave it.")
    try:
        # The shape is checked here, so that a forged cursor hands storage no value of another type.
        values = msgspec.msgpack.decode(cursor.place, type=place)
    except _DECODING as error:
        raise Malformed(_UNREADABLE) from error
    if not all(_is_storable(value) for value in values):
        raise Malformed(_UNREADABLE)
    return values


_DECODING = (ValueError, msgspec.MsgspecError, RecursionError)
"""All that broken base64 or msgpack raises; deep nesting is the last."""

_UNREADABLE = "The cursor cannot be read. Send `next_cursor` of the page before, unchanged."


def _mark(filters: Filters) -> bytes:
    """Return 8 bytes that tell filters apart: against mistakes, not against forgery."""
    wanted = sorted((name, value) for name, value in filters.items() if value is not None)
    return hashlib.sha256(msgspec.msgpack.encode(wanted)).digest()[:8]


def _is_storable(value: object) -> bool:
    if isinstance(value, datetime):
        return value.utcoffset() == timedelta(0)
    return value in _INT64 if isinstance(value, int) else "\x00" not in str(value)
