"""The keys that a company signs with, as it publishes them: remembered, and looked up by `kid`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from guilder.identity.outside import rules
from guilder.identity.outside.errors import OutsideAnswerRefused
from guilder.kernel.clock import Clock

_KEEP: Final = timedelta(hours=6)
_REFRESH: Final = timedelta(minutes=1)
_KEYS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A published key and the one algorithm that it is for."""

    algorithm: str
    key: Key


class SigningKeys:
    """A company's keys.

    Invariants:
        They are fetched when they are first needed, when they are old, and when a token names one
        that is not among them; for that at most once a minute, whatever tokens come in.
    """

    def __init__(self, fetch: Callable[[], Awaitable[dict[str, Any]]], *, clock: Clock) -> None:
        """Take what fetches the JSON Web Key Set; does nothing yet."""
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str | None, SigningKey] = {}
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._lock = asyncio.Lock()

    async def find(self, kid: str | None) -> SigningKey:
        """Return the key that a token names; a token that names none means the only one.

        Raises:
            OutsideAnswerRefused: There is no such key.
            OutsideUnavailable: The keys cannot be fetched.
        """
        async with self._lock:
            now = self._clock()
            is_old = _is_over(self._fetched_at, now, _KEEP)
            if is_old or (kid not in self._keys and _is_over(self._tried_at, now, _REFRESH)):
                self._tried_at = now
                await self._refresh()
        found = self._keys.get(kid)
        if found is None:
            raise OutsideAnswerRefused("key")
        return found

    async def _refresh(self) -> None:
        found = (await self._fetch()).get("keys")
        if not isinstance(found, list):
            raise OutsideAnswerRefused("keys")
        keys = dict(key for key in map(_read, found[:_KEYS_MAX]) if key is not None)
        if len(keys) == 1:
            keys[None] = next(iter(keys.values()))
        self._keys, self._fetched_at = keys, self._clock()


def _is_over(since: datetime | None, now: datetime, span: timedelta) -> bool:
    # However the clock is set: a time that lies ahead is no reason to wait for it.
    return since is None or abs(now - since) >= span


def _read(published: object) -> tuple[str | None, SigningKey] | None:
    """Return a key by its name, or None if it is none that we verify with."""
    if not isinstance(published, Mapping):
        return None
    algorithm, kid = rules.algorithm_of(published), published.get("kid")
    if algorithm is None or not isinstance(kid, str | None):
        return None
    try:
        return kid, SigningKey(algorithm, import_key(dict(published)))
    except (JoseError, ValueError, TypeError, KeyError):
        return None
