"""Administration on the wire. Addresses and numbers leave the server masked, whoever asks."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from guilder.admin.rules import masked_email, masked_phone
from guilder.admin.service import Person
from guilder.audit.trail import Entry
from guilder.identity.roles import Role
from guilder.kernel.clock import rfc3339
from guilder.wallets.schemas import GivenTime

_TIME = "2026-01-31T12:00:00.000Z"
_PERSON: JsonDict = {
    "id": "user_01h2xcejqtf2nbrexx3vqjhp41",
    "name": "First Payer",
    "email": "p***@example.com",
    "phone": "***23",
    "email_verified": True,
    "phone_verified": False,
    "role": "user",
    "wallet_id": "wallet_01h455vb4pex5vsknk084sn02q",
    "created_at": _TIME,
    "updated_at": _TIME,
}
_EVENT: JsonDict = {
    "id": "audit_01h455vb4pex5vsknk084sn02q",
    "position": 12,
    "time": _TIME,
    "action": "role.changed",
    "outcome": "done",
    "actor": "user_01h2xcejqtf2nbrexx3vqjhp41",
    "subject": "user_01h455vb4pex5vsknk084sn02q",
    "details": {"from": "user", "to": "support"},
    "address": None,
}
_Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_.-]+$")]


class RoleBody(BaseModel):
    """Somebody's new role."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"role": "support"}]}
    )

    role: Role


class PersonAnswer(BaseModel):
    """A user, as staff see him."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PERSON]})

    id: str = Field(description="TypeID.")
    name: str
    email: str | None = Field(description="Masked.")
    phone: str | None = Field(description="Masked.")
    email_verified: bool
    phone_verified: bool
    role: Role
    wallet_id: str = Field(description="TypeID of the user's wallet.")
    created_at: str = Field(description="RFC 3339, UTC, milliseconds.")
    updated_at: str = Field(description="RFC 3339, UTC, milliseconds.")

    @classmethod
    def of(cls, person: Person) -> Self:
        """Shape a user for the wire."""
        record = person.record
        return cls(
            id=record.id,
            name=record.name,
            email=None if record.email is None else masked_email(record.email),
            phone=None if record.phone is None else masked_phone(record.phone),
            email_verified=record.email_verified,
            phone_verified=record.phone_verified,
            role=person.role,
            wallet_id=record.wallet_id,
            created_at=rfc3339(record.created_at),
            updated_at=rfc3339(record.updated_at),
        )


class EventsQuery(BaseModel):
    """Which events. What is left out is not looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: _Word | None = Field(None, description="Id of whom or what it was done to.")
    actor: _Word | None = Field(None, description="Id of who did it.")
    action: _Word | None = Field(None, description="What was done, such as `role.changed`.")
    since: GivenTime | None = Field(None, description="Earliest time, RFC 3339.")
    limit: int = Field(default=25, ge=1, le=100)
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before.")


class EventAnswer(BaseModel):
    """An event of the record."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EVENT]})

    id: str = Field(description="TypeID.")
    position: int | None = Field(description="In the chain; null for about a second.")
    time: str = Field(description="RFC 3339, UTC, milliseconds.")
    action: str
    outcome: str = Field(description="`done` or `refused`.")
    actor: str = Field(description="Id of who did it; `unknown` or `system`.")
    subject: str = Field(description="Id of whom or what it was done to, or `unknown`.")
    details: dict[str, str]
    address: str | None = Field(description="Keyed hash of the client's address.")

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Shape an event for the wire."""
        event = entry.event
        return cls(
            id=event.id,
            position=entry.position,
            time=rfc3339(event.created_at),
            action=event.action,
            outcome=event.outcome,
            actor=event.actor,
            subject=event.subject,
            details=event.details,
            address=event.address,
        )


class EventsAnswer(BaseModel):
    """A page of events, newest first."""

    data: list[EventAnswer]
    has_more: bool
    next_cursor: str | None
