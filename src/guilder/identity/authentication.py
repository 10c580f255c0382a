"""Tells who sends a request, from its access token alone: no read, so any route affords it."""

from dataclasses import dataclass
from typing import Annotated, Protocol, cast

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from guilder.identity.errors import Unauthenticated
from guilder.kernel.ids import SessionId, UserId, WalletId

_SCHEME = "bearer"


@dataclass(frozen=True, slots=True)
class Principal:
    """The user that a request speaks for."""

    user_id: UserId
    wallet_id: WalletId
    session_id: SessionId


class Authenticator(Protocol):
    """What `app.state.identity` must do for this module; `IdentityService` does."""

    def principal(self, access_token: str) -> Principal:
        """Return whose token it is.

        Raises:
            Unauthenticated: It is not valid, or its session has ended.
        """


def authenticate(request: Request) -> Principal:
    """Return who sends the request, and leave it in `request.state.principal` for logs and limits.

    Raises:
        Unauthenticated: There is no valid access token.
    """
    known: Principal | None = request.scope.get("state", {}).get("principal")
    if known is not None:
        return known
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != _SCHEME:
        raise Unauthenticated
    principal = cast(Authenticator, request.app.state.identity).principal(token)
    request.state.principal = principal
    return principal


_bearer = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="The `access_token` that `/login` answers."
)


async def _current_user(
    request: Request,
    _credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
) -> Principal:
    # A coroutine although it never waits: FastAPI would send a plain function to a thread.
    return authenticate(request)


CurrentUser = Annotated[Principal, Depends(_current_user)]
"""Parameter type of FastAPI routes that need a user; shows the scheme in OpenAPI."""
