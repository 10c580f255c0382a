"""The loop beside requests: it outlives its errors, never overlaps itself, ends when told."""

import asyncio
from contextlib import suppress

import pytest

from guilder.kernel.errors import InvariantViolation
from guilder.ledger.background import BackgroundTask


class Steps:
    def __init__(self, *more: bool) -> None:
        self.more = list(more)
        self.passes = 0
        self.running = 0
        self.passed = asyncio.Event()
        self.fails = False

    async def step(self) -> bool:
        self.running += 1
        assert self.running == 1, "passes never overlap"
        await asyncio.sleep(0)
        self.passes += 1
        self.running -= 1
        self.passed.set()
        if self.fails:
            raise ConnectionError
        return self.more.pop(0) if self.more else False

    async def next(self) -> None:
        self.passed.clear()
        await asyncio.wait_for(self.passed.wait(), 5)


async def test_a_pass_comes_at_once_and_again_when_woken() -> None:
    steps = Steps()
    task = BackgroundTask("test", steps.step, every_ms=60_000)
    task.start()
    await steps.next()
    task.wake()
    task.wake()
    await steps.next()
    await task.stop()
    await task.stop()
    assert not task.is_running
    assert steps.passes in (2, 3)


async def test_passes_follow_each_other_while_there_is_more() -> None:
    steps = Steps(True, True, False)
    task = BackgroundTask("test", steps.step, every_ms=60_000)
    task.start()
    while steps.passes < 3:
        await steps.next()
    await task.stop()
    assert steps.passes == 3


async def test_an_error_is_outlived() -> None:
    steps = Steps()
    steps.fails = True
    task = BackgroundTask("test", steps.step, every_ms=1)
    task.start()
    await steps.next()
    await steps.next()
    assert task.is_running
    await task.stop()


async def test_it_is_started_once() -> None:
    steps = Steps()
    task = BackgroundTask("test", steps.step, every_ms=60_000)
    task.start()
    with pytest.raises(InvariantViolation):
        task.start()
    await task.stop()


async def test_it_ends_when_its_step_loses_the_cancellation() -> None:
    begun = asyncio.Event()

    async def lose_it() -> bool:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return False

    task = BackgroundTask("test", lose_it, every_ms=60_000)
    task.start()
    await begun.wait()
    async with asyncio.timeout(5):
        await task.stop()
    assert not task.is_running
