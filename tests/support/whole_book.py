"""A book as a whole, to see that nothing at all has changed, and faults in the middle of it."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from guilder.ledger.journal import Journal
from guilder.storage.base import LedgerStorage

_EVERYTHING = 1_000_000


async def whole(book: LedgerStorage) -> tuple[object, ...]:
    """Return everything that a book has, of one moment."""
    async with book.snapshot() as reads:
        return (
            await reads.head(),
            await reads.accounts_after(None, _EVERYTHING),
            await reads.transfers_after(0, _EVERYTHING),
            await reads.holds_after(None, _EVERYTHING),
            await reads.counters_after(None, _EVERYTHING),
        )


@contextlib.contextmanager
def instead(journal: Journal, step: str, act: Callable[..., Awaitable[Any]]) -> Iterator[None]:
    """Do something else in place of a step of each batch, which is open by then."""
    real = journal.book.batch

    @contextlib.asynccontextmanager
    async def batch() -> AsyncIterator[Any]:
        async with real() as opened:
            setattr(opened, step, act)
            yield opened

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal.book, "batch", batch)
        yield


@contextlib.contextmanager
def broken(journal: Journal, step: str, error: Callable[[], Exception]) -> Iterator[None]:
    """Make a step of each batch fail, such as `load_counters`."""

    async def fail(*_: object) -> None:
        raise error()

    with pytest.MonkeyPatch.context() as patch, instead(journal, step, fail):
        # Nobody has to wait for it to come back.
        patch.setattr("guilder.ledger.journal.RETRY_FOR_S", 0)
        yield
