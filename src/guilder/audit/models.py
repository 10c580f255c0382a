"""What is stored of the audit record: events, the seals that chain them, and the chain's head."""

from typing import ClassVar, Literal

from guilder.storage.base import Document

Outcome = Literal["done", "refused"]
HEAD_ID = "audit_head"
GENESIS_HASH = "0" * 64
"""Stands before the first event."""


class AuditEvent(Document, frozen=True, kw_only=True):
    """Something that touched somebody's security. Written once, never changed.

    Invariants:
        No personal data and no secret: ids and words of ours, which are to be kept for ever.
    """

    collection: ClassVar[str] = "audit_events"
    append_only: ClassVar[bool] = True
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("created_at",),
        ("subject", "created_at"),
        ("actor", "created_at"),
        ("action", "created_at"),
    )

    action: str
    """Noun and past participle, as `session.opened`."""
    actor: str
    """Id of who did it."""
    subject: str
    """Id of whom or what it was done to."""
    outcome: Outcome
    details: dict[str, str]
    address: str | None
    """Keyed hash of the client's address; see `trail.AddressKey`."""


class AuditWaiting(Document, frozen=True, kw_only=True):
    """An event that has no seal yet; the id is the event's."""

    collection: ClassVar[str] = "audit_waiting"


class AuditSeal(Document, frozen=True, kw_only=True):
    """An event's place in the chain; the id is the event's.

    Invariants:
        Positions begin with 1 and have no gap. `created_at` is when it was sealed.
    """

    collection: ClassVar[str] = "audit_seals"
    append_only: ClassVar[bool] = True
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("position",),)

    position: int
    hash: str
    """64 hexadecimal digits; see `chain.seal_hash`."""


class AuditHead(Document, frozen=True, kw_only=True):
    """Where the chain ends. There is one. Whoever changes it seals, so one process does."""

    collection: ClassVar[str] = "audit_heads"

    position: int
    """Of the last sealed event; 0 if there is none."""
    hash: str


MODELS: tuple[type[Document], ...] = (AuditEvent, AuditWaiting, AuditSeal, AuditHead)
"""For `Storage.migrate`."""
