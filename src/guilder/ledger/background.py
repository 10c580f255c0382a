"""A step that runs over and over beside the requests: followers, janitors, senders. Every change of
theirs is in the database, so that one may be stopped at any await and started again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from guilder.kernel.errors import check

_log = structlog.get_logger(__name__)


class BackgroundTask:
    """Runs one step whenever it is woken, and every `every_ms` milliseconds.

    Args:
        name: For the log.
        step: One pass over what is due. Returns whether more is due at once.
        every_ms: Milliseconds between passes when nobody wakes it.

    Invariants:
        Passes never overlap. A pass that raises is logged and comes again later.
    """

    def __init__(self, name: str, step: Callable[[], Awaitable[bool]], *, every_ms: int) -> None:
        self._name = name
        self._step = step
        self._every_ms = every_ms
        self._woken = asyncio.Event()
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Tell whether it was started and has not ended."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin; the first pass comes at once."""
        check(self._task is None, "a background task is started once")
        self._task = asyncio.create_task(self._run(), name=self._name)

    def wake(self) -> None:
        """Let the next pass come at once. A hint: what it finds is decided by the database."""
        self._woken.set()

    async def stop(self) -> None:
        """End it, in the middle of a pass if need be, and wait until it has ended."""
        if self._task is None:
            return
        task, self._task = self._task, None
        # A driver may lose a cancellation that comes as an answer does; the loop must end even so.
        self._is_stopping = True
        self._woken.set()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _run(self) -> None:
        while not self._is_stopping:
            self._woken.clear()
            if not await self._pass():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._every_ms / 1000):
                        await self._woken.wait()

    async def _pass(self) -> bool:
        try:
            return await self._step()
        except Exception as error:  # noqa: BLE001 - the loop must outlive whatever one pass meets
            _log.warning("background_pass_failed", task=self._name, error=repr(error))
            return False
