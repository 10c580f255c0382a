"""The keys that are in use, in memory: a request that carries one reads no database.

A change in this process counts at once. Those of other processes are read from the database about
twice a second, as with sessions that have ended. If that fails for long, no key is let in.
"""

import time
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from guilder.api_keys.models import ApiKey, ApiKeySecret
from guilder.api_keys.rules import Network, budget_of, key_digest, network_of
from guilder.identity.authentication import Principal
from guilder.identity.models import User
from guilder.kernel.clock import Clock
from guilder.kernel.errors import Unavailable
from guilder.ledger.background import BackgroundTask
from guilder.storage.base import Range, Storage
from guilder.storage.paging import every_document

KNOWN_MAX: Final = 20_000
"""Keys remembered: about 40 MB. The one that was read longest ago is forgotten first."""
KNOWN_FOR_S: Final = 60
"""Then it is read again. Less than the life of an access token, for as long as which it is known
whose rights have changed."""
_OVERLAP = timedelta(seconds=30)
"""Each look goes this far back behind the last: covers slow commits and clocks that differ."""
_POLL_S = 0.4
_STALE_S = 10.0


class KnownKey(Struct, frozen=True, kw_only=True):
    """A key as a request is judged by it.

    Args:
        ends_at: When the secret that was given is over, or the key.
        read_at: On the monotonic clock.
    """

    key: ApiKey
    principal: Principal
    networks: tuple[Network, ...]
    ends_at: datetime
    read_at: float


class KnownKeys:
    """Keys by their secrets.

    Invariants:
        What is known of a key is a second old at most, wherever it was changed.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        clock: Clock,
        poll_s: float = _POLL_S,
        stale_s: float = _STALE_S,
    ) -> None:
        """Know of no key yet; `start` begins to follow other processes."""
        self._keys = storage.documents(ApiKey)
        self._secrets = storage.documents(ApiKeySecret)
        self._users = storage.documents(User)
        self._clock = clock
        self._stale_s = stale_s
        self._by_digest: dict[str, KnownKey] = {}
        self._digests: dict[str, set[str]] = {}
        self._looked_until: datetime | None = None
        self._looked_at: float | None = None
        self._task = BackgroundTask("api-keys", self._follow, every_ms=int(poll_s * 1000))

    def __len__(self) -> int:
        """Return how many secrets are remembered."""
        return len(self._by_digest)

    async def find(self, text: str) -> KnownKey | None:
        """Return what a key stands for, or None if nothing: unknown, expired, replaced, revoked.

        Args:
            text: The whole key, of the right shape.

        Raises:
            Unavailable: Following has been started, and could not look for too long to know.
        """
        if self._looked_at is not None and time.monotonic() - self._looked_at > self._stale_s:
            raise Unavailable(retry_after_s=1)
        digest = key_digest(text)
        known = self._by_digest.get(digest)
        if known is None or time.monotonic() - known.read_at > KNOWN_FOR_S:
            known = await self._read(digest)
        if known is None or self._clock() >= known.ends_at:
            return None
        return known

    def forget(self, key_id: str) -> None:
        """Read a key again before it is next believed: it has changed, or its user has."""
        for digest in self._digests.pop(key_id, ()):
            self._by_digest.pop(digest, None)

    async def look(self) -> None:
        """Forget the keys that others have changed since the last look."""
        now = self._clock()
        since = (now if self._looked_until is None else self._looked_until) - _OVERLAP
        within = Range(field="updated_at", at_least=since)
        async for key in every_document(self._keys, {}, within=within):
            self._forget_before(key)
        self._looked_until = now

    async def start(self) -> None:
        """Look once, then keep looking in the background."""
        await self._follow()
        self._task.start()

    async def stop(self) -> None:
        """Stop looking."""
        await self._task.stop()
        self._looked_at = None

    async def _follow(self) -> bool:
        await self.look()
        self._looked_at = time.monotonic()
        return False

    def _forget_before(self, key: ApiKey) -> None:
        """Forget a key if it was read before this state of it. Whoever read it late, too."""
        for digest in self._digests.get(key.id, ()):
            if self._by_digest[digest].key.version < key.version:
                self.forget(key.id)
                return

    async def _read(self, digest: str) -> KnownKey | None:
        read_at = time.monotonic()
        secret = await self._secrets.get(digest)
        key = None if secret is None else await self._keys.get(secret.key_id)
        user = None if key is None else await self._users.get(key.user_id)
        known = None
        if secret is not None and key is not None and user is not None:
            is_over = key.is_revoked or user.closed_at is not None
            known = None if is_over else _known(secret, key, user, read_at=read_at)
        self._drop(digest)
        if known is not None:
            self._by_digest[digest] = known
            self._digests.setdefault(known.key.id, set()).add(digest)
            if len(self._by_digest) > KNOWN_MAX:
                self._drop(next(iter(self._by_digest)))
        return known

    def _drop(self, digest: str) -> None:
        known = self._by_digest.pop(digest, None)
        if known is None:
            return
        others = self._digests[known.key.id]
        others.discard(digest)
        if not others:
            del self._digests[known.key.id]


def _known(secret: ApiKeySecret, key: ApiKey, user: User, *, read_at: float) -> KnownKey:
    return KnownKey(
        key=key,
        principal=Principal(
            user_id=key.user_id,
            wallet_id=key.wallet_id,
            session_id=None,
            role=user.role,
            scopes=frozenset(key.scopes),
            api_key_id=key.id,
            limits=budget_of(key.id, key.limits),
            rights_version=user.rights_version,
        ),
        networks=tuple(network_of(each) for each in key.addresses),
        ends_at=key.expires_at if secret.ends_at is None else min(secret.ends_at, key.expires_at),
        read_at=read_at,
    )
