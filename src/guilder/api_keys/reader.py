"""Tells who sends a request, from its API key: shape, secret, address, quota, in this order."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from starlette.requests import HTTPConnection

from guilder.api_keys.errors import AddressNotAllowed
from guilder.api_keys.known_keys import KnownKey, KnownKeys
from guilder.api_keys.quotas import Quotas
from guilder.api_keys.rules import Mode, is_allowed, is_key
from guilder.audit.rules import UNKNOWN
from guilder.audit.trail import AuditTrail
from guilder.identity.authentication import Principal
from guilder.identity.errors import Unauthenticated
from guilder.kernel.clock import Clock
from guilder.kernel.ids import UserId
from guilder.middlewares.client_address import Network, client_address

KEY_PREFIX: Final = "glk_"
_TOLD_EVERY = timedelta(hours=1)
_TOLD_MAX = 4_096

_log = structlog.get_logger(__name__)


class ApiKeyReader:
    """Reads the keys that requests carry: an `authentication.CredentialReader`.

    Invariants:
        A key of another mode, unknown, ended or mistyped is answered in one way.
        A request that is refused costs nothing of the quota.
    """

    def __init__(
        self,
        known: KnownKeys,
        quotas: Quotas,
        *,
        mode: Mode,
        audit: AuditTrail,
        clock: Clock,
        is_outdated: Callable[[UserId, int], bool],
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        """Take what reading needs.

        Args:
            known: The keys.
            quotas: Counts requests.
            mode: Of this deployment. A key of the other kind is never looked up.
            audit: Told when somebody uses a key from elsewhere.
            clock: Time for that.
            is_outdated: Tells whether a user's rights have changed since a version of them.
            trusted_proxies: Whose word about the client's address is believed.
        """
        self._known = known
        self._quotas = quotas
        self._mode = mode
        self._audit = audit
        self._clock = clock
        self._is_outdated = is_outdated
        self._trusted_proxies = tuple(trusted_proxies)
        self._told: OrderedDict[bytes, datetime] = OrderedDict()

    async def principal(self, credential: str, connection: HTTPConnection) -> Principal:
        """Return whom a key speaks for, and count the request.

        Raises:
            Unauthenticated: It is no key of this deployment, or not any more.
            AddressNotAllowed: It is not used from where it may be.
            QuotaExceeded: It has no requests left.
            Unavailable: It cannot be told whether it has ended, or how much is left.
        """
        if not is_key(credential, self._mode):
            raise Unauthenticated
        known = await self._current(credential)
        if known is None:
            raise Unauthenticated
        if known.networks:
            address = client_address(connection.scope, self._trusted_proxies)
            if not is_allowed(address, known.networks):
                await self._tell(known, address)
                raise AddressNotAllowed
        await self._quotas.take(known.key)
        return known.principal

    async def _current(self, credential: str) -> KnownKey | None:
        """Return what a key stands for, with the rights that its user has now."""
        known = await self._known.find(credential)
        if known is None:
            return None
        principal = known.principal
        if not self._is_outdated(principal.user_id, principal.rights_version):
            return known
        self._known.forget(known.key.id)
        return await self._known.find(credential)

    async def _tell(self, known: KnownKey, address: str) -> None:
        """Record that a key is used from elsewhere: once an hour, or a thief fills the record."""
        now = self._clock()
        mark = hashlib.sha256(f"{known.key.id} {address}".encode()).digest()
        told_at = self._told.get(mark)
        if told_at is not None and now - told_at < _TOLD_EVERY:
            return
        self._told[mark] = now
        self._told.move_to_end(mark)
        if len(self._told) > _TOLD_MAX:
            self._told.popitem(last=False)
        _log.warning("api_key_used_from_elsewhere", key_id=known.key.id)
        await self._audit.record(
            "api_key.refused",
            actor=UNKNOWN,
            subject=known.key.user_id,
            outcome="refused",
            details={"api_key_id": known.key.id, "because": "address_not_allowed"},
            address=address,
        )
