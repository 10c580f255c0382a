"""Whether reading stays as quick while the journal grows, and how quickly the books are verified.

Two books with the same accounts, one with few transfers and one with many, are read in turns.
"""

import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from benchmarks import books
from benchmarks.books import OpenBook, open_book
from benchmarks.engines import POSTGRESQL, Engines
from benchmarks.report import percentile, report
from benchmarks.rounds import Rounds
from guilder.ledger.journal import BATCH_MAX
from guilder.storage.base import TransferFilter

ACCOUNTS = 1_000
SMALL, LARGE, BIG = 1_000, 100_000, 5_000_000
READERS_SMALL = 20
"""Accounts among which most of the few transfers move: each has a full page of history."""
PAGE = 25
READS, READS_WARM_UP = 200, 50
_GOAL = 1.2
_MONGODB_GOAL = 0.3
_VERIFY_ROUNDS_MAX = 3


@dataclass
class _Book:
    """A filled book and what reading it took.

    Args:
        transfers: In its journal.
        readers: How many of its first accounts have a full page of history.
    """

    book: OpenBook
    transfers: int
    readers: int
    fill_tps: float
    p50_ms: dict[str, Rounds] = field(default_factory=dict)


Read = Callable[[_Book, random.Random], Awaitable[None]]


async def reads(
    engines: Engines, *, rounds: int, transfers: int = LARGE, accounts: int = ACCOUNTS
) -> None:
    """Print `balance_read`, `history_read`, `totals_read` and `verify_tps` for each engine.

    Args:
        engines: The servers that run.
        rounds: How many times each figure is taken; the medians are printed.
        transfers: In the larger book.
        accounts: In each of the two.
    """
    verified: dict[str, float] = {}
    for lender in engines.lenders:
        async with contextlib.AsyncExitStack() as stack:
            small, large = [
                await _filled(
                    await stack.enter_async_context(open_book(lender, accounts=accounts)), count
                )
                for count in (SMALL, transfers)
            ]
            for number in range(rounds):
                for name in _READS:
                    await _read_in_turns(name, small, large, seed=number)
            for name in _READS:
                _report(name, lender.engine, small, large)
            verified[lender.engine] = await _verify(lender.engine, large, rounds, verified)


async def _filled(book: OpenBook, transfers: int) -> _Book:
    """Fill a book through the writer, like any other, in batches as large as it takes.

    Each account has moved at least once: a trial balance leaves out those that never did.
    """
    readers = READERS_SMALL if transfers <= SMALL else len(book.accounts)
    started = time.perf_counter()
    await book.post(books.everybody(book.accounts, number=-1))
    for number, start in enumerate(range(len(book.accounts) // 2, transfers, BATCH_MAX)):
        size = min(BATCH_MAX, transfers - start)
        await book.post(books.uniform(book.accounts[:readers], number, size))
    return _Book(book, transfers, readers, transfers / (time.perf_counter() - started))


async def _read_in_turns(name: str, small: _Book, large: _Book, *, seed: int) -> None:
    """Take one round: a read of one book, a read of the other, so that noise falls on both."""
    choose = random.Random(seed)
    times_ms: list[tuple[float, float]] = [
        (await _read_ms(name, small, choose), await _read_ms(name, large, choose))
        for _ in range(READS_WARM_UP + READS)
    ]
    for book, taken in zip(
        (small, large), zip(*times_ms[READS_WARM_UP:], strict=True), strict=True
    ):
        book.p50_ms.setdefault(name, Rounds()).add(percentile(list(taken), 0.50))


async def _read_ms(name: str, book: _Book, choose: random.Random) -> float:
    started = time.perf_counter()
    await _READS[name](book, choose)
    return (time.perf_counter() - started) * 1000


async def _balance(book: _Book, choose: random.Random) -> None:
    """Read the balances of an owner, as a wallet's view does."""
    await book.book.ledger.accounts_of(books.owner(choose.randrange(len(book.book.accounts))))


async def _history(book: _Book, choose: random.Random) -> None:
    """Read the first page of an account's history. The first account has none, see `uniform`."""
    account_id = book.book.accounts[choose.randrange(1, book.readers)]
    page = await book.book.ledger.account_transfers([account_id], TransferFilter(), limit=PAGE)
    if len(page) != PAGE:
        message = "an account of the benchmark has less than a page of history"
        raise RuntimeError(message)


async def _totals(book: _Book, _: random.Random) -> None:
    """Read the trial balance: a sum over all accounts."""
    await book.book.ledger.totals()


_READS: dict[str, Read] = {
    "balance_read": _balance,
    "history_read": _history,
    "totals_read": _totals,
}


def _report(name: str, engine: str, small: _Book, large: _Book) -> None:
    before, after = small.p50_ms[name], large.p50_ms[name]
    report(
        bench=name,
        engine=engine,
        accounts=len(large.book.accounts),
        rounds=len(before.values),
        transfers_small=small.transfers,
        transfers_large=large.transfers,
        **before.figures("p50_small_ms"),
        **after.figures("p50_large_ms"),
        ratio=after.median / before.median,
        goal=_GOAL,
        fill_tps=large.fill_tps,
    )


async def _verify(engine: str, large: _Book, rounds: int, verified: dict[str, float]) -> float:
    """Verify the larger book; once if it is big, as that takes minutes."""
    tps = Rounds()
    for _ in range(1 if large.transfers >= BIG else min(rounds, _VERIFY_ROUNDS_MAX)):
        tps.add(await large.book.verify())
    beside: dict[str, float] = {}
    if engine != POSTGRESQL:
        postgresql_tps = verified[POSTGRESQL]
        beside = {
            "postgresql_tps": postgresql_tps,
            "ratio": tps.median / postgresql_tps,
            "goal": _MONGODB_GOAL,
        }
    report(
        bench="verify_tps",
        engine=engine,
        transfers=large.transfers,
        rounds=len(tps.values),
        **tps.figures("tps"),
        **beside,
    )
    return tps.median
