"""Quotas of requests, across processes and windows."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from guilder.api_keys.errors import QuotaExceeded
from guilder.api_keys.models import ApiKey, ApiKeyQuota, ApiKeyUsage
from guilder.api_keys.quotas import Quotas
from guilder.api_keys.rules import RequestsPer
from guilder.storage.base import Storage
from tests.support.api_keys import quota, stored_key
from tests.support.identity import HandClock

DAY = RequestsPer.DAY


async def served(quotas: Quotas, key: ApiKey, times: int) -> int:
    """Return how many of so many requests at once are served."""

    async def ask() -> bool:
        try:
            await quotas.take(key)
        except QuotaExceeded:
            return False
        return True

    return sum(await asyncio.gather(*(ask() for _ in range(times))))


async def usage_of(storage: Storage, key: ApiKey) -> ApiKeyUsage:
    found = await storage.documents(ApiKeyUsage).get(key.id)
    assert found is not None
    return found


async def test_64_at_once_in_two_processes_never_exceed_a_small_quota(
    keys_storage: Storage,
) -> None:
    clock = HandClock()
    key = stored_key(clock(), limits=quota(20))
    processes = [Quotas(keys_storage, clock=clock) for _ in range(2)]
    both = await asyncio.gather(*(served(each, key, 32) for each in processes))
    assert sum(both) == 20, both


async def test_a_large_quota_is_exact_above_and_nearly_so_below(keys_storage: Storage) -> None:
    clock = HandClock()
    key = stored_key(clock(), limits=quota(1_000, DAY))
    processes = [Quotas(keys_storage, clock=clock) for _ in range(3)]
    assert await served(processes[0], key, 1) == 1
    assert await served(processes[1], key, 1) == 1
    # The two that stopped keep a sixteenth each of what there was.
    total = 2 + await served(processes[2], key, 1_200)
    assert 1_000 * 14 // 16 <= total <= 1_000
    for each in processes[:2]:
        total += await served(each, key, 200)
    assert total == 1_000


async def test_a_quota_begins_anew(keys_storage: Storage) -> None:
    clock = HandClock()
    key = stored_key(clock(), limits=quota(2))
    quotas = Quotas(keys_storage, clock=clock)
    assert await served(quotas, key, 3) == 2
    clock.move(seconds=20)
    with pytest.raises(QuotaExceeded, match=r"2 requests per minute.*anew at") as error:
        await quotas.take(key)
    assert error.value.retry_after_s == 41
    clock.move(seconds=40)
    assert await served(quotas, key, 3) == 2


async def test_a_changed_quota_counts_what_was_used(keys_storage: Storage) -> None:
    clock = HandClock()
    key = stored_key(clock(), limits=quota(3))
    quotas = Quotas(keys_storage, clock=clock)
    assert await served(quotas, key, 5) == 3
    larger = stored_key(clock(), id=key.id, limits=quota(5))
    assert await served(quotas, larger, 5) == 2


async def test_use_is_added_up_over_processes_and_days(keys_storage: Storage) -> None:
    clock = HandClock()
    key = stored_key(clock(), limits=quota(1_000))
    processes = [Quotas(keys_storage, clock=clock) for _ in range(4)]
    for each in processes:
        await served(each, key, 10)
    await asyncio.gather(*(each.flush() for each in processes))
    found = await usage_of(keys_storage, key)
    assert (found.requests, found.window_requests, found.days) == (40, 40, {"2026-01-31": 40})
    for _ in range(40):
        clock.move(days=1)
        await served(processes[0], key, 1)
    last = clock()
    await processes[0].stop()
    found = await usage_of(keys_storage, key)
    assert (found.requests, found.window_requests, found.last_used_at) == (80, 1, last)
    assert len(found.days) == 31
    assert "2026-01-31" not in found.days


async def test_who_flushes_while_another_writes_waits_until_it_is_written(
    keys_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = HandClock()
    key = stored_key(clock())
    quotas = Quotas(keys_storage, clock=clock)
    writing, go_on, write = asyncio.Event(), asyncio.Event(), quotas._add

    async def slowly(*given: Any) -> None:
        writing.set()
        await go_on.wait()
        await write(*given)

    monkeypatch.setattr(quotas, "_add", slowly)
    await quotas.take(key)
    background = asyncio.create_task(quotas.flush())
    await writing.wait()
    report = asyncio.create_task(quotas.flush_key(key.id))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not report.done()
    go_on.set()
    await report
    assert (await usage_of(keys_storage, key)).requests == 1
    await background


async def test_a_key_without_a_quota_is_only_counted(keys_storage: Storage) -> None:
    clock = HandClock()
    key = stored_key(clock())
    quotas = Quotas(keys_storage, clock=clock)
    assert await served(quotas, key, 50) == 50
    await quotas.flush()
    assert (await usage_of(keys_storage, key)).requests == 50
    assert await keys_storage.documents(ApiKeyQuota).get(f"{key.id}:2026-01-31T12:00") is None


async def test_counters_of_windows_that_are_over_are_removed(keys_storage: Storage) -> None:
    clock = HandClock()
    key = stored_key(clock(), limits=quota(5))
    quotas = Quotas(keys_storage, clock=clock)
    await quotas.take(key)
    counter_id, counters = f"{key.id}:2026-01-31T12:00", keys_storage.documents(ApiKeyQuota)
    while await quotas.sweep():
        pass
    assert await counters.get(counter_id) is not None
    clock.now += timedelta(hours=2)
    while await quotas.sweep():
        pass
    assert await counters.get(counter_id) is None
