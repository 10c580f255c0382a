"""Counts the requests of keys, and refuses those beyond a quota; right across processes.

A process takes a part of a quota at a time from a stored counter, and serves from that without a
look at the database. So never more than the quota is served, and what a process has taken and does
not use is at most a sixteenth of it; of quotas below 32 each request is counted in the database.
"""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Final

import structlog
from msgspec import Struct, field
from msgspec.structs import replace

from guilder.api_keys.errors import QuotaExceeded
from guilder.api_keys.models import ApiKey, ApiKeyQuota, ApiKeyUsage
from guilder.api_keys.rules import (
    DAYS_KEPT,
    RequestQuota,
    RequestsPer,
    lease_size,
    window_ends,
    window_of,
)
from guilder.kernel.clock import Clock, rfc3339
from guilder.kernel.errors import Unavailable
from guilder.ledger.background import BackgroundTask
from guilder.storage.base import Range, Storage
from guilder.storage.errors import DuplicateDocument, VersionConflict

_FLUSH_MS: Final = 2_000
_KEPT: Final = timedelta(hours=1)
_SWEPT_AT_ONCE: Final = 200
_TRIES: Final = 64
"""Each lost race is a part of a quota that another process took."""

_log = structlog.get_logger(__name__)


class _Lease(Struct):
    """What this process may still serve of one window of a quota."""

    window: str
    quota: RequestQuota
    left: int = 0
    is_used_up: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class _Tally(Struct):
    """Requests that are not in the database yet."""

    last_used_at: datetime
    days: Counter[str] = field(default_factory=Counter)
    window: str = ""
    window_requests: int = 0


class Quotas:
    """The requests of all keys. Use is written between `start` and `stop`, and when that ends.

    Invariants:
        In one window the processes together serve no more than the quota, as far as their clocks
        agree on when it begins.
    """

    def __init__(self, storage: Storage, *, clock: Clock, every_ms: int = _FLUSH_MS) -> None:
        """Take what counting needs; `start` begins to write."""
        self._stored = storage.documents(ApiKeyQuota)
        self._usage = storage.documents(ApiKeyUsage)
        self._clock = clock
        self._leases: dict[str, _Lease] = {}
        self._tallies: dict[str, _Tally] = {}
        self._writing = asyncio.Lock()
        self._task = BackgroundTask("api-key-usage", self._pass, every_ms=every_ms)

    def start(self) -> None:
        """Begin to write what is counted."""
        self._task.start()

    async def stop(self) -> None:
        """Stop, and write the rest; what the database does not take is not counted."""
        await self._task.stop()
        try:
            await self.flush()
        except Unavailable as error:
            _log.warning("api_key_usage_lost", error=repr(error))

    async def take(self, key: ApiKey) -> None:
        """Count a request of a key.

        Raises:
            QuotaExceeded: It has none left in this window.
            Unavailable: Too many processes take of the quota at once.
        """
        now = self._clock()
        quota, window = key.limits.requests, ""
        if quota is not None:
            window = window_of(quota.per, now)
            await self._spend(key.id, quota, window)
        self._note(key.id, now, window)

    async def flush(self) -> None:
        """Write what was counted since the last time. What cannot be written waits."""
        for key_id in list(self._tallies):
            await self.flush_key(key_id)

    async def flush_key(self, key_id: str) -> None:
        """Write what was counted of one key: all of it, whoever is writing already."""
        async with self._writing:
            tally = self._tallies.pop(key_id, None)
            if tally is None:
                return
            try:
                await self._add(key_id, tally)
            except BaseException:
                later = self._tallies.get(key_id)
                self._tallies[key_id] = tally if later is None else _joined(tally, later)
                raise

    async def sweep(self) -> bool:
        """Remove counters of windows that are long over; tell whether there may be more."""
        before = Range(field="expires_at", below=self._clock() - _KEPT)
        found = await self._stored.page({}, within=before, limit=_SWEPT_AT_ONCE)
        for each in found:
            await self._stored.delete(each.id)
        return len(found) == _SWEPT_AT_ONCE

    async def _pass(self) -> bool:
        await self.flush()
        now = self._clock()
        # A lease of a window that is over is of no use.
        self._leases = {
            key_id: lease
            for key_id, lease in self._leases.items()
            if lease.window == window_of(lease.quota.per, now)
        }
        return await self.sweep()

    async def _spend(self, key_id: str, quota: RequestQuota, window: str) -> None:
        lease = self._leases.get(key_id)
        if lease is None or lease.window != window or lease.quota != quota:
            lease = self._leases[key_id] = _Lease(window, quota)
        if lease.left == 0 and not lease.is_used_up:
            async with lease.lock:
                if lease.left == 0 and not lease.is_used_up:
                    lease.left = await self._lease(key_id, quota, window)
                    lease.is_used_up = lease.left == 0
        if lease.left == 0:
            raise _exceeded(quota, self._clock())
        lease.left -= 1

    async def _lease(self, key_id: str, quota: RequestQuota, window: str) -> int:
        """Take a part of what is left of a quota; 0 if nothing is."""
        counter_id = f"{key_id}:{window}"
        for _ in range(_TRIES):
            now = self._clock()
            stored = await self._stored.get(counter_id)
            taken = lease_size(max(0, quota.count - (stored.leased if stored else 0)))
            if taken == 0:
                return 0
            try:
                if stored is None:
                    ends = window_ends(quota.per, now)
                    await self._stored.insert(
                        ApiKeyQuota(
                            id=counter_id,
                            leased=taken,
                            expires_at=ends,
                            created_at=now,
                            updated_at=now,
                        )
                    )
                else:
                    changed = replace(stored, leased=stored.leased + taken, updated_at=now)
                    await self._stored.replace(changed)
            except (DuplicateDocument, VersionConflict):
                continue
            return taken
        raise Unavailable(retry_after_s=1)

    def _note(self, key_id: str, now: datetime, window: str) -> None:
        tally = self._tallies.get(key_id)
        if tally is None:
            tally = self._tallies[key_id] = _Tally(now)
        tally.last_used_at = now
        tally.days[window_of(RequestsPer.DAY, now)] += 1
        if tally.window != window:
            tally.window, tally.window_requests = window, 0
        tally.window_requests += 1

    async def _add(self, key_id: str, tally: _Tally) -> None:
        for _ in range(_TRIES):
            now = self._clock()
            stored = await self._usage.get(key_id)
            try:
                if stored is None:
                    empty = ApiKeyUsage(
                        id=key_id,
                        requests=0,
                        last_used_at=tally.last_used_at,
                        days={},
                        created_at=now,
                        updated_at=now,
                    )
                    await self._usage.insert(_added(empty, tally, now))
                else:
                    await self._usage.replace(_added(stored, tally, now))
            except (DuplicateDocument, VersionConflict):
                continue
            return
        raise Unavailable(retry_after_s=1)


def _exceeded(quota: RequestQuota, now: datetime) -> QuotaExceeded:
    ends = window_ends(quota.per, now)
    return QuotaExceeded(
        f"This API key may send {quota.count} requests per {quota.per}. "
        f"The quota begins anew at {rfc3339(ends)}.",
        retry_after_s=(ends - now) // timedelta(seconds=1) + 1,
    )


def _joined(first: _Tally, later: _Tally) -> _Tally:
    """Return two tallies as one."""
    is_same = first.window == later.window
    return _Tally(
        later.last_used_at,
        first.days + later.days,
        later.window,
        later.window_requests + (first.window_requests if is_same else 0),
    )


def _added(stored: ApiKeyUsage, tally: _Tally, now: datetime) -> ApiKeyUsage:
    """Return the stored use with what this process has counted."""
    days = Counter(stored.days) + tally.days
    window, requests = stored.window, stored.window_requests
    if window == tally.window:
        requests += tally.window_requests
    elif len(window) != len(tally.window) or window < tally.window:
        window, requests = tally.window, tally.window_requests
    return replace(
        stored,
        requests=stored.requests + tally.days.total(),
        last_used_at=max(stored.last_used_at, tally.last_used_at),
        days={day: days[day] for day in sorted(days)[-DAYS_KEPT:]},
        window=window,
        window_requests=requests,
        updated_at=now,
    )
