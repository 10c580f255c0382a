"""The bodies of sessions on the wire."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.config import JsonDict

from guilder.identity.devices import TOKEN_LENGTH
from guilder.identity.models import Session
from guilder.identity.schemas import UserAnswer
from guilder.identity.sessions import SignIn
from guilder.kernel.clock import rfc3339
from guilder.kernel.ids import SessionId

_TIME: Final = "2026-01-31T12:00:00.000Z"
_EXAMPLE: Final[JsonDict] = {
    "id": "session_01h455vb4pex5vsknk084sn02q",
    "device": "Firefox on Windows",
    "place": "203.0.113.0/24",
    "created_at": _TIME,
    "last_used_at": _TIME,
    "expires_at": "2026-03-02T12:00:00.000Z",
    "is_current": True,
}
_TOKEN_MAX: Final = 2048


class SessionAnswer(BaseModel):
    """One sign-in that has not ended."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: str = Field(description="TypeID.")
    device: str = Field(description="Program and system, for people; what it says of itself.")
    place: str | None = Field(
        description="Where it was last used: the beginning of the address, or words."
    )
    created_at: str = Field(description="Time of the sign-in. RFC 3339, UTC, milliseconds.")
    last_used_at: str = Field(description="When it was last refreshed.")
    expires_at: str = Field(description="When it ends whatever happens.")
    is_current: bool = Field(description="It is the one that asks.")

    @classmethod
    def of(cls, session: Session, place: str, *, current: SessionId | None) -> "SessionAnswer":
        """Shape a session for the wire."""
        return cls(
            id=session.id,
            device=session.device,
            place=place or None,
            created_at=rfc3339(session.created_at),
            last_used_at=rfc3339(session.rotated_at),
            expires_at=rfc3339(session.expires_at),
            is_current=session.id == current,
        )


class SessionsAnswer(BaseModel):
    """A page of sessions, the latest sign-in first."""

    data: list[SessionAnswer]
    has_more: bool
    next_cursor: str | None


class SessionsQuery(BaseModel):
    """Which page. Other parameters are refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Annotated[str | None, Field(max_length=1024)] = None


class EndSessionsQuery(BaseModel):
    """Which sessions end. Other parameters are refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    all: Annotated[bool, Field(description="Also the one that asks.")] = False


class CookieSessionBody(BaseModel):
    """A session that is to live in cookies from now on."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [
                {
                    "refresh_token": "glr1.session_01h455vb4pex5vsknk084sn02q.1.<43>.<22>",
                    "device_token": "Jd4Xq1l0o3pY5tVvN8sWcR7aBzEfGhKm2uTiOyPnDxQ",
                }
            ]
        },
    )

    refresh_token: SecretStr = Field(
        min_length=1, max_length=_TOKEN_MAX, description="Of a sign-in just made."
    )
    device_token: Annotated[str, Field(pattern=rf"^[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}$")] | None = (
        Field(None, description="Of the same sign-in; a cookie keeps it.")
    )


class CookieSessionAnswer(BaseModel):
    """What a page must know of a session that lives in cookies."""

    csrf_token: str = Field(
        description="For `CSRF-Token`. The cookie `__Host-guilder-csrf` has it too.",
        examples=["5f0c1d..."],
    )
    expires_in: int = Field(description="Seconds until the next refresh is due.", examples=[900])
    refresh_expires_in: int = Field(
        description="Seconds until the session ends whatever happens.", examples=[86_400]
    )
    user: UserAnswer

    @classmethod
    def of(cls, sign_in: SignIn, csrf_token: str) -> "CookieSessionAnswer":
        """Shape a session for the wire, without its tokens."""
        return cls(
            csrf_token=csrf_token,
            expires_in=sign_in.expires_in_s,
            refresh_expires_in=sign_in.refresh_expires_in_s,
            user=UserAnswer.of(sign_in.user),
        )
