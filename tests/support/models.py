"""Documents that belong to no feature, for the tests of storage."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

from guilder.kernel.ids import new_id
from guilder.storage.base import Document

MORNING = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)


class Size(StrEnum):
    """An enumeration that is indexed by its value."""

    SMALL = "small"
    LARGE = "large"


class Parcel(Document, frozen=True, kw_only=True):
    """A record with an indexed field of every type."""

    collection = "parcels"
    unique = (("label",), ("street", "number"))
    indexes = (
        ("weight_g",),
        ("is_fragile", "weight_g"),
        ("size",),
        ("size", "sent_at"),
        ("size", "is_fragile", "name"),
        ("name",),
        ("sent_at",),
        ("is_fragile",),
        ("created_at",),
    )

    label: str | None = None
    street: str | None = None
    number: int | None = None
    name: str = ""
    weight_g: int = 0
    is_fragile: bool = False
    size: Size = Size.SMALL
    sent_at: datetime | None = None
    notes: dict[str, str] = msgspec.field(default_factory=dict)


def parcel(**fields: object) -> Parcel:
    """Return a parcel; what is not given is new or plain."""
    base: dict[str, object] = {
        "id": new_id("parcel"),
        "created_at": MORNING,
        "updated_at": MORNING,
    }
    return Parcel(**{**base, **fields})  # type: ignore[arg-type]


def minutes(count: int) -> timedelta:
    """Return that many minutes."""
    return timedelta(minutes=count)
