"""What stands in the journal for an occurrence, and what follows from it. Pure."""

import hashlib
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from guilder.kernel.ids import derived_uuid, encode_id
from guilder.ledger.limits import Limit
from guilder.ledger.marks import Mark, reason_of
from guilder.ledger.models import TransferRequest
from guilder.schedules.models import Occurrence, Schedule
from guilder.schedules.rules import OccurrenceStatus, ScheduleStatus, following
from guilder.storage.records import Transfer
from guilder.wallets.accounts import wallet_account_id
from guilder.wallets.service import TRANSFER_PREFIX

CODE = "scheduled_transfer"
CANCELLED = "cancelled"
"""Reason of the mark that ends a schedule. Other marks give up one occurrence."""


def deciding_id(schedule: Schedule) -> UUID:
    """Return the transfer id of the next occurrence, which paying and giving up compete for."""
    return derived_uuid("schedule", schedule.id, str(schedule.number))


def transfer_of(schedule: Schedule, *, limits: tuple[Limit, ...] = ()) -> TransferRequest:
    """Return the transfer that pays the next occurrence. `limits`: what it must stay within."""
    said = ("schedule", schedule.id, str(schedule.number))
    metadata: dict[str, str] = {
        "schedule": schedule.id,
        "occurrence": str(schedule.number),
        "to": schedule.to_wallet_id,
    }
    if schedule.description:
        metadata["description"] = schedule.description
    return TransferRequest(
        id=deciding_id(schedule),
        debit_account_id=wallet_account_id(schedule.wallet_id, schedule.currency),
        credit_account_id=wallet_account_id(schedule.to_wallet_id, schedule.currency),
        amount_minor=schedule.amount_minor,
        asset=schedule.currency,
        code=CODE,
        fingerprint=hashlib.sha256("\n".join(said).encode()).digest(),
        limits=limits,
        metadata=metadata,
    )


def mark_of(schedule: Schedule, reason: str) -> Mark:
    """Return the mark that keeps the next occurrence from ever being paid."""
    return Mark(
        transfer_id=deciding_id(schedule),
        asset=schedule.currency,
        subject=schedule.id,
        reason=reason,
    )


def next_due_at(schedule: Schedule) -> datetime | None:
    """Return when the occurrence after the next one is due, if there is one."""
    return following(
        schedule.start_at,
        schedule.every,
        schedule.number,
        count=schedule.count,
        until=schedule.until,
    )


def advanced(schedule: Schedule, decided: Transfer) -> Schedule:
    """Return a schedule as the transfer under its deciding id leaves it."""
    if reason_of(decided) == CANCELLED:
        return replace(schedule, status=ScheduleStatus.CANCELLED, updated_at=decided.created_at)
    due_at = next_due_at(schedule)
    if due_at is None:
        return replace(schedule, status=ScheduleStatus.COMPLETED, updated_at=decided.created_at)
    return replace(
        schedule,
        number=schedule.number + 1,
        due_at=due_at,
        attempts=0,
        next_attempt_at=due_at,
        updated_at=decided.created_at,
    )


def occurrence_of(schedule: Schedule, decided: Transfer) -> Occurrence | None:
    """Return what became of the next occurrence; None if the schedule was cancelled before it."""
    reason = reason_of(decided)
    if reason == CANCELLED:
        return None
    is_paid = reason is None
    return Occurrence(
        id=encode_id("occurrence", decided.id),
        schedule_id=schedule.id,
        number=schedule.number,
        due_at=schedule.due_at,
        status=OccurrenceStatus.PAID if is_paid else OccurrenceStatus.FAILED,
        transfer_id=encode_id(TRANSFER_PREFIX, decided.id) if is_paid else None,
        failure_code=reason,
        created_at=decided.created_at,
        updated_at=decided.created_at,
    )
