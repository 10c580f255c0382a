"""A process that dies at its n-th step: each await of storage, journal, gateway may be the last."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any


class Crashed(BaseException):
    """The process is gone. No handler of ours may catch it, as none would run."""


class CrashPoints:
    """Counts steps; the one with the number `at` is the last, before or after its effect."""

    def __init__(self, at: int | None, *, is_after: bool) -> None:
        self.at = at
        self.is_after = is_after
        self.steps = 0

    async def step(self, effect: Callable[[], Any]) -> Any:
        self.steps += 1
        dies = self.steps == self.at
        if self.at is not None and self.steps > self.at:
            raise Crashed  # Dead is dead: nothing else of this process runs.
        if dies and not self.is_after:
            raise Crashed
        result = await effect()
        if dies:
            raise Crashed
        return result


class Stepped:
    """Makes every async method of `target` a step. `skip` names what passes through."""

    def __init__(self, target: Any, points: CrashPoints, *names: str) -> None:
        self._target = target
        self._points = points
        self._names = names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name not in self._names:
            return found

        async def stepped(*args: Any, **kwargs: Any) -> Any:
            return await self._points.step(lambda: found(*args, **kwargs))

        return stepped


COLLECTION = ("insert", "get", "get_many", "find_one", "page", "replace", "delete")
JOURNAL = ("post", "post_all", "open_accounts")
GATEWAY = ("create_checkout", "fetch_payment", "create_payout", "fetch_payout")


class SteppedStorage:
    """Storage of which every call outside a transaction, and every commit, is a step."""

    def __init__(self, storage: Any, points: CrashPoints) -> None:
        self._storage = storage
        self._points = points

    def documents(self, model: Any) -> Any:
        return Stepped(self._storage.documents(model), self._points, *COLLECTION)

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        async def nothing() -> None:
            return

        points = self._points
        if points.is_after and points.at == points.steps + 1:
            async with self._storage.transaction() as transaction:
                yield transaction
            await points.step(nothing)
        else:
            async with self._storage.transaction() as transaction:
                yield transaction
                await points.step(nothing)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)
