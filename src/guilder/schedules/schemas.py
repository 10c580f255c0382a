"""Schedules on the wire."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from guilder.kernel.clock import rfc3339
from guilder.schedules.models import Occurrence, Schedule
from guilder.schedules.rules import COUNT_MAX, Every, OccurrenceStatus, ScheduleStatus
from guilder.wallets.schemas import (
    Amount,
    CurrencyCode,
    Description,
    GivenTime,
    RecipientBody,
    Time,
)

_SCHEDULE_ID = "schedule_01h455vb4pex5vsknk084sn02q"
_WALLET_ID = "wallet_01h455vb4pex5vsknk084sn02q"


class ScheduleBody(BaseModel):
    """What is to be sent later."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "amount": 90000,
                    "currency": "USD",
                    "to": {"email": "landlord@example.com"},
                    "description": "Rent",
                    "start_at": "2027-01-31T09:00:00Z",
                    "every": "month",
                    "count": 12,
                }
            ]
        },
    )

    amount: Amount
    currency: CurrencyCode
    to: RecipientBody
    description: Description = ""
    start_at: Annotated[GivenTime, Field(description="Of the first, or only, transfer.")]
    every: Annotated[
        Every | None,
        Field(
            strict=False,
            description="Left out: once. Each month on the day of `start_at` in UTC, or on the "
            "month's last day where that has fewer.",
        ),
    ] = None
    count: Annotated[
        int | None, Field(ge=1, le=COUNT_MAX, description="How many. Not with `until`.")
    ] = None
    until: Annotated[
        GivenTime | None, Field(description="No transfer is due after it. Not with `count`.")
    ] = None


class ScheduleParty(BaseModel):
    """Who gets the money."""

    wallet_id: str = Field(examples=[_WALLET_ID])


class ScheduleAnswer(BaseModel):
    """A schedule. `next_at` is null once it has ended; a refused transfer is tried again then."""

    schedule_id: str = Field(examples=[_SCHEDULE_ID])
    wallet_id: str = Field(examples=["wallet_01h2xcejqtf2nbrexx3vqjhp41"])
    to: ScheduleParty
    amount: Amount
    currency: CurrencyCode
    description: Description
    start_at: Time
    every: Every | None
    count: int | None = Field(examples=[12])
    until: Time | None
    status: ScheduleStatus
    next_at: Time | None
    next_number: int | None = Field(description="Of the next transfer, from 1.", examples=[1])
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, schedule: Schedule) -> "ScheduleAnswer":
        """Return a schedule as its owner sees it."""
        is_active = schedule.status is ScheduleStatus.ACTIVE
        return cls(
            schedule_id=schedule.id,
            wallet_id=schedule.wallet_id,
            to=ScheduleParty(wallet_id=schedule.to_wallet_id),
            amount=schedule.amount_minor,
            currency=schedule.currency,
            description=schedule.description,
            start_at=rfc3339(schedule.start_at),
            every=schedule.every,
            count=schedule.count,
            until=None if schedule.until is None else rfc3339(schedule.until),
            status=schedule.status,
            next_at=rfc3339(schedule.next_attempt_at) if is_active else None,
            next_number=schedule.number if is_active else None,
            created_at=rfc3339(schedule.created_at),
            updated_at=rfc3339(schedule.updated_at),
        )

    @classmethod
    def as_created(cls, schedule: Schedule) -> "ScheduleAnswer":
        """Return a schedule as it was when new, whatever became of it: retries get one answer."""
        return cls.of(schedule).model_copy(
            update={
                "status": ScheduleStatus.ACTIVE,
                "next_at": rfc3339(schedule.start_at),
                "next_number": 1,
                "updated_at": rfc3339(schedule.created_at),
            }
        )


class SchedulesAnswer(BaseModel):
    """A page of schedules, newest first."""

    data: list[ScheduleAnswer]
    has_more: bool
    next_cursor: str | None


class OccurrenceAnswer(BaseModel):
    """What became of one transfer of a schedule. It never changes."""

    number: int = Field(examples=[1])
    due_at: Time
    status: OccurrenceStatus
    transaction_id: str | None = Field(examples=["transfer_01h455vb4pex5vsknk084sn02q"])
    failure_code: str | None = Field(examples=["insufficient_funds"])
    created_at: Time

    @classmethod
    def of(cls, occurrence: Occurrence) -> "OccurrenceAnswer":
        """Return an occurrence as the schedule's owner sees it."""
        return cls(
            number=occurrence.number,
            due_at=rfc3339(occurrence.due_at),
            status=occurrence.status,
            transaction_id=occurrence.transfer_id,
            failure_code=occurrence.failure_code,
            created_at=rfc3339(occurrence.created_at),
        )


class OccurrencesAnswer(BaseModel):
    """A page of occurrences, newest first."""

    data: list[OccurrenceAnswer]
    has_more: bool
    next_cursor: str | None


class PageQuery(BaseModel):
    """Which page. Other parameters are refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Annotated[str | None, Field(max_length=1024)] = None
