"""Personal data on the wire."""

from datetime import datetime
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, Field

from guilder.kernel.clock import rfc3339
from guilder.kernel.ids import UserId

_USER: Final = "user_01h455vb4pex5vsknk084sn02q"
_TIME: Final = "2026-01-31T12:00:00.000Z"


class ClosedAnswer(BaseModel):
    """An account that is closed for good."""

    user_id: str = Field(examples=[_USER])
    status: Literal["closed"] = "closed"
    closed_at: str = Field(description="RFC 3339, UTC.", examples=[_TIME])

    @classmethod
    def of(cls, user_id: UserId, closed_at: datetime) -> Self:
        """Return what is told of a closed account."""
        return cls(user_id=user_id, closed_at=rfc3339(closed_at))


EXPORT_SCHEMA: Final[dict[str, Any]] = {
    "title": "PersonalData",
    "description": "Everything that is kept about a user: a list for each kind of record.",
    "type": "object",
    "required": ["format", "format_version", "made_at", "user_id", "wallet_id", "transactions"],
    "properties": {
        "format": {"type": "string", "const": "guilder.personal-data"},
        "format_version": {"type": "integer", "const": 1},
        "made_at": {"type": "string", "format": "date-time"},
        "user_id": {"type": "string"},
        "wallet_id": {"type": "string"},
        "transactions": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/TransactionAnswer"},
        },
    },
    "additionalProperties": {"type": "array", "items": {"type": "object"}},
}
EXPORT_EXAMPLE: Final[dict[str, Any]] = {
    "format": "guilder.personal-data",
    "format_version": 1,
    "made_at": _TIME,
    "user_id": _USER,
    "wallet_id": "wallet_01h455vb4pex5vsknk084sn02q",
    "balances": [],
    "transactions": [],
    "user": [
        {"id": _USER, "created_at": _TIME, "name": "First Payer", "email": "payer@example.com"}
    ],
    "sessions": [],
}
