"""Tells who sends a request, from the one credential that it carries."""

from dataclasses import dataclass
from typing import Final, Protocol, cast

from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from guilder.identity.errors import Forbidden, SignedInWithoutSecondFactor, Unauthenticated
from guilder.identity.roles import STAFF_ONLY, Permission, Role, may
from guilder.kernel.errors import GuilderError, check
from guilder.kernel.ids import SessionId, UserId, WalletId
from guilder.ledger.limits import Limit

_SCHEME: Final = "bearer"


@dataclass(frozen=True, slots=True)
class Principal:
    """The user that a request speaks for, and what it may do in the user's name.

    Args:
        session_id: None where no session but a key speaks.
        role: Of the user.
        scopes: What a key may do; None for a session, which may do all that its role may.
        api_key_id: The key that speaks, if one does.
        limits: What this credential may spend; every spending transfer is given them.
        rights_version: Of the user's rights that the credential was made of.
        has_second_factor: The session was opened with one, or this deployment asks staff for none.
    """

    user_id: UserId
    wallet_id: WalletId
    session_id: SessionId | None
    role: Role = Role.USER
    scopes: frozenset[Permission] | None = None
    api_key_id: str | None = None
    limits: tuple[Limit, ...] = ()
    rights_version: int = 0
    has_second_factor: bool = False

    def may(self, permission: Permission) -> bool:
        """Tell whether the role, and the key if one speaks, allow something."""
        return may(self.role, self.scopes, permission)

    def check(self, permission: Permission) -> None:
        """Refuse what is not allowed.

        Raises:
            Forbidden: The role or the key has not got the permission.
            SignedInWithoutSecondFactor: The role has it, and it is one that takes a second factor.
        """
        if not self.may(permission):
            raise Forbidden(permission)
        if permission in STAFF_ONLY and not self.has_second_factor:
            raise SignedInWithoutSecondFactor


class AccessTokenReader(Protocol):
    """What reads the tokens of sessions; `IdentityService` does."""

    def principal(self, access_token: str) -> Principal:
        """Return whose token it is.

        Raises:
            Unauthenticated: It is not valid, or its session has ended.
        """


class CredentialReader(Protocol):
    """What reads another kind of credential, such as keys or cookies."""

    async def principal(self, credential: str, connection: HTTPConnection) -> Principal:
        """Return whose credential it is. Asked once for each request.

        Args:
            credential: Untrusted text.
            connection: The request without its body: method, headers, client address.

        Raises:
            Unauthenticated: It is not valid, or not any more.
            GuilderError: It is valid, and its own rules refuse this request.
        """


class Authenticator:
    """Gives each credential to whoever reads its kind: `app.state.authenticator`.

    Invariants:
        A request has one credential: the `Authorization` header, or else a cookie. It is looked at
        once, whoever asks how often; what came of it is kept with the request.
    """

    def __init__(self, sessions: AccessTokenReader) -> None:
        """Take what reads bearer tokens that no other reader claims."""
        self._sessions = sessions
        self._by_prefix: dict[str, CredentialReader] = {}
        self._by_cookie: dict[str, CredentialReader] = {}

    def add_prefix(self, prefix: str, reader: CredentialReader) -> None:
        """Have bearer tokens that begin with `prefix` read by `reader`."""
        check(prefix and prefix not in self._by_prefix, "each prefix has one reader")
        self._by_prefix[prefix] = reader

    def add_cookie(self, name: str, reader: CredentialReader) -> None:
        """Have the cookie `name` read by `reader`, which also sees to forged requests."""
        check(name and name not in self._by_cookie, "each cookie has one reader")
        self._by_cookie[name] = reader

    async def principal(self, connection: HTTPConnection) -> Principal:
        """Return who sends the request.

        Raises:
            Unauthenticated: There is no valid credential.
            GuilderError: The credential's own rules refuse this request.
        """
        state = connection.scope.setdefault("state", {})
        known: Principal | GuilderError | None = state.get("principal")
        if known is None:
            try:
                known = await self._read(connection)
            except GuilderError as error:
                known = error
            state["principal"] = known
        if isinstance(known, GuilderError):
            raise known
        return known

    async def _read(self, connection: HTTPConnection) -> Principal:
        headers = connection.headers.getlist("authorization")
        if len(headers) > 1:
            raise Unauthenticated  # Whoever looked at the other one would see somebody else.
        if headers:
            scheme, _, token = headers[0].partition(" ")
            if scheme.lower() != _SCHEME:
                raise Unauthenticated
            for prefix, reader in self._by_prefix.items():
                if token.startswith(prefix):
                    return await reader.principal(token, connection)
            return self._sessions.principal(token)
        if self._by_cookie and "cookie" in connection.headers:
            for name, reader in self._by_cookie.items():
                value = connection.cookies.get(name)
                if value:
                    return await reader.principal(value, connection)
        raise Unauthenticated


async def authenticate(request: HTTPConnection) -> Principal:
    """Return who sends the request.

    Raises:
        Unauthenticated: There is no valid credential.
        GuilderError: The credential's own rules refuse this request.
    """
    return await cast(Authenticator, request.app.state.authenticator).principal(request)


bearer: Final = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="The `access_token` that `/login` answers."
)
