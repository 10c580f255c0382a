"""Schedules and their occurrences as stored."""

from datetime import datetime
from typing import ClassVar

from guilder.kernel.ids import WalletId
from guilder.schedules.rules import Every, OccurrenceStatus, ScheduleStatus
from guilder.storage.base import Document


class Schedule(Document, frozen=True, kw_only=True):
    """Transfers to come. All but `status` and the four fields after it never change.

    Args:
        every: None: once.
        count: How many occurrences, if it is said.
        until: No occurrence is due after it, if it is said.
        number: Of the next occurrence, from 1; of the last one, when there is no next.
        due_at: When it is due.
        attempts: How often it was refused.
        next_attempt_at: When it is posted.
        fingerprint: SHA-256 of the request that made the schedule, in hexadecimal.
    """

    collection: ClassVar[str] = "schedules"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("wallet_id", "created_at"),
        ("status", "next_attempt_at"),
    )

    wallet_id: WalletId
    to_wallet_id: WalletId
    amount_minor: int
    currency: str
    description: str
    start_at: datetime
    every: Every | None
    count: int | None
    until: datetime | None
    status: ScheduleStatus = ScheduleStatus.ACTIVE
    number: int = 1
    due_at: datetime
    attempts: int = 0
    next_attempt_at: datetime
    fingerprint: str


class Occurrence(Document, frozen=True, kw_only=True):
    """What became of one occurrence. It never changes.

    Args:
        transfer_id: TypeID of the transfer that paid it.
        failure_code: The verdict that it was given up for.
    """

    collection: ClassVar[str] = "schedule_occurrences"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("schedule_id", "number"),)

    schedule_id: str
    number: int
    due_at: datetime
    status: OccurrenceStatus
    transfer_id: str | None
    failure_code: str | None


MODELS: tuple[type[Document], ...] = (Schedule, Occurrence)
