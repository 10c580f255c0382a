"""A guard: no call to the outside while a database transaction is open in the same task.

Such a call holds locks for as long as another company likes to think, and its effect stays when
the transaction is rolled back.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Any

import httpx2
import pytest

from guilder.storage.mongo.ledger import MongoLedger
from guilder.storage.mongo.storage import MongoStorage
from guilder.storage.postgres.ledger import PostgresLedger
from guilder.storage.postgres.storage import PostgresStorage

Opener = Callable[..., AbstractAsyncContextManager[Any]]

TRANSACTIONS = (
    (PostgresStorage, "transaction"),
    (MongoStorage, "transaction"),
    (PostgresLedger, "batch"),
    (MongoLedger, "batch"),
)
"""Whatever opens a database transaction that others run code in."""
CALLS = (
    (httpx2.AsyncHTTPTransport, "handle_async_request"),
    (httpx2.HTTPTransport, "handle_request"),
)
"""Whatever reaches the outside."""


class CalledInsideATransaction(AssertionError):
    """The call is made before the transaction, or after it."""


class _Open:
    """A transaction. Who was started inside it keeps the object, so it is told of the end."""

    def __init__(self) -> None:
        self.is_open = True


_innermost: ContextVar[_Open | None] = ContextVar("innermost transaction", default=None)


@contextlib.contextmanager
def no_call_inside_a_transaction() -> Iterator[None]:
    """Make every call inside a transaction raise, for as long as the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in TRANSACTIONS:
            patch.setattr(owner, name, _watched(getattr(owner, name)))
        for transport, name in CALLS:
            patch.setattr(transport, name, _refusing(getattr(transport, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def the_guard() -> Iterator[None]:
    """Guard every test of the session; imported by the topmost conftest."""
    with no_call_inside_a_transaction():
        yield


def _watched(real: Opener) -> Opener:
    @contextlib.asynccontextmanager
    async def watched(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
        async with real(*arguments, **named) as opened:
            outer, mine = _innermost.get(), _Open()
            _innermost.set(mine)
            try:
                yield opened
            finally:
                mine.is_open = False
                _innermost.set(outer)

    return watched


def _refusing(real: Callable[..., Any]) -> Callable[..., Any]:
    def refusing(*arguments: Any, **named: Any) -> Any:
        innermost = _innermost.get()
        if innermost is not None and innermost.is_open:
            raise CalledInsideATransaction(f"{arguments[1].method} {arguments[1].url}")
        return real(*arguments, **named)

    return refusing
