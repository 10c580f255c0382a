"""The line to the database, cut at COMMIT and made bad in other ways: nobody is told what is not
so.

`GUILDER_TEST_COMMIT_CUTS` says how often it is cut, on each engine.
"""

import asyncio
import contextlib
import itertools
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from pymongo.errors import PyMongoError

from guilder.kernel.errors import Unavailable
from guilder.ledger.journal import Journal
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from guilder.ledger.verify import verify
from guilder.storage import open_storage
from guilder.storage.base import LedgerStorage, Storage
from guilder.storage.mongo import ledger as mongo_ledger
from guilder.storage.mongo.engine import Session
from guilder.storage.postgres.storage import PostgresStorage
from tests.support.bank import fund
from tests.support.bank_worker import transfer
from tests.support.databases import Database
from tests.support.mongo import MongoServer
from tests.support.planted import NO_UNIQUE_ID, ledger_with
from tests.support.postgres_books import owner_of
from tests.support.proxy import Fate, Proxy, mongo_messages, postgres_messages
from tests.support.tampering import is_mongodb, mongo_database
from tests.support.telling import tell

CUTS = int(os.environ.get("GUILDER_TEST_COMMIT_CUTS", "40"))
CALLERS = 24
RECOVERY_S = 5.0
REQUEST_S = 30.0
"""A statement's time-out, the end of its connection, and one more attempt."""


@dataclass(frozen=True)
class Line:
    """A journal that reaches its database through a proxy, and the book without it."""

    proxy: Proxy
    storage: Storage
    journal: Journal
    book: LedgerStorage


def through(proxy: Proxy, database: Database) -> str:
    """Return the url of a database by way of the proxy."""
    parts = urlsplit(database.url)
    netloc = parts.netloc.replace(f":{parts.port}", f":{proxy.port}")
    # MongoDB's driver would else ask the server for its address, and go there.
    query = "directConnection=true" if is_mongodb(database) else parts.query
    return parts._replace(netloc=netloc, query=query).geturl()


@contextlib.asynccontextmanager
async def line_to(database: Database, *, fault: str | None = None) -> AsyncIterator[Line]:
    parts = urlsplit(database.url)
    direct = await open_storage(database.url, owner_url=database.owner_url)
    await fund(direct)
    messages = mongo_messages if is_mongodb(database) else postgres_messages
    async with Proxy(str(parts.hostname), int(parts.port or 0), messages=messages) as proxy:
        storage = await open_storage(through(proxy, database))
        journal = Journal(ledger_with(fault, storage))
        await journal.start()
        try:
            yield Line(proxy, storage, journal, direct.ledger())
        finally:
            proxy.fate = lambda: Fate.PASS
            proxy.resume_flow()
            proxy.cut_all()
            await journal.stop()
            await storage.close()
            await direct.close()


@pytest.fixture
async def line(new_database: Database) -> AsyncIterator[Line]:
    async with line_to(new_database) as made:
        yield made


@pytest.fixture
async def postgresql_line(database: Database) -> AsyncIterator[Line]:
    async with line_to(database) as made:
        yield made


async def everything_told_is_so(
    line: Line, told: Sequence[tuple[TransferRequest, Outcome]]
) -> None:
    """Each id was called created once, is there once, and nothing else is."""
    created = Counter(r.id for r, outcome in told if outcome.verdict is Verdict.CREATED)
    moved = {r.id for r, outcome in told if outcome.transfer is not None}
    refused = {r.id for r, outcome in told if outcome.transfer is None}
    report = await verify(line.book)
    journal = [
        item.id
        for start in range(0, report.transfers, 1000)
        for item in await line.book.transfers_after(start, 1000)
        if item.code == "bank"
    ]
    assert report.difference is None
    assert set(created) == moved == set(journal)
    assert max(created.values()) == 1
    assert len(journal) == len(set(journal))
    assert not refused & moved
    stored = await line.book.transfers(list(moved))
    assert all(stored[r.id] == outcome.transfer for r, outcome in told if outcome.transfer)


class Callers:
    """Some who ask for transfers at the same time; every fifth is asked for by two."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._next = 0
        self.told: list[tuple[TransferRequest, Outcome]] = []
        self.slowest_s = 0.0

    async def work_until(self, is_done: asyncio.Event) -> None:
        await asyncio.gather(*(self._work(is_done) for _ in range(CALLERS)))

    async def _work(self, is_done: asyncio.Event) -> None:
        while not is_done.is_set():
            number, self._next = self._next, self._next + 1
            request = transfer(number)
            began = time.monotonic()
            askers = 2 if number % 5 == 0 else 1
            outcomes = await asyncio.gather(*(self._journal.post(request) for _ in range(askers)))
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.told += [(request, outcome) for outcome in outcomes]


async def cut_often(line: Line, *, cuts: int) -> Callers:
    """Let callers work until so many COMMITs were cut, one in two, in every way."""
    chance = random.Random(9)
    ways = [fate for fate in Fate if fate is not Fate.PASS]
    is_done = asyncio.Event()

    def fate() -> Fate:
        met = line.proxy.met
        if met.total() - met[Fate.PASS] >= cuts:
            is_done.set()
        return chance.choice((Fate.PASS, chance.choice(ways)))

    line.proxy.fate = fate
    callers = Callers(line.journal)
    await callers.work_until(is_done)
    line.proxy.fate = lambda: Fate.PASS
    return callers


async def test_a_lost_commit_is_looked_up_and_everyone_gets_one_verdict(
    line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    callers = await cut_often(line, cuts=CUTS)
    cuts = line.proxy.met.total() - line.proxy.met[Fate.PASS]
    tell(
        capsys,
        f"COMMIT: {cuts} cut {dict(line.proxy.met)}, {len(callers.told)} answers, "
        f"slowest {callers.slowest_s:.1f} s",
    )
    assert cuts >= CUTS
    assert min(line.proxy.met[fate] for fate in Fate) > 0
    await everything_told_is_so(line, callers.told)


async def test_the_cuts_find_a_journal_that_does_not_look_up(database: Database) -> None:
    """On MongoDB a lost COMMIT is asked for again, so that there is nothing to look up."""
    async with line_to(database, fault=NO_UNIQUE_ID) as line:
        async with owner_of(database) as owner:
            await owner.execute("ALTER TABLE book_main.transfers DROP CONSTRAINT transfers_id")
        callers = await cut_often(line, cuts=10)
        with pytest.raises(AssertionError):
            await everything_told_is_so(line, callers.told)


async def test_the_cuts_find_a_commit_that_takes_silence_for_success(
    mongodb: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_open = []

    async def believe(session: Session) -> None:
        left_open.append(session.session_id)
        with contextlib.suppress(PyMongoError):
            await session.commit_transaction()

    monkeypatch.setattr(mongo_ledger, "commit", believe)
    async with mongodb.database() as database, line_to(database) as line:
        # The driver itself asks a second time.
        fates = itertools.chain([Fate.LOSE_COMMIT] * 2, itertools.repeat(Fate.PASS))
        line.proxy.fate = lambda: next(fates)
        told = [(transfer(0), await line.journal.post(transfer(0)))]
        assert line.proxy.met[Fate.LOSE_COMMIT] == 2
        async with mongo_database(database) as found:
            # Else the server keeps its locks for a minute.
            await found.client.admin.command("killSessions", left_open)
        with pytest.raises(AssertionError):
            await everything_told_is_so(line, told)


@pytest.mark.parametrize(("piece_bytes", "latency_s"), [(1, 0.0), (None, 0.2)])
async def test_a_slow_line_is_slow_and_right(
    line: Line, piece_bytes: int | None, latency_s: float
) -> None:
    # The driver asks for the types once for each connection, in many round trips.
    told = [(transfer(100), await line.journal.post(transfer(100)))]
    line.proxy.piece_bytes, line.proxy.latency_s = piece_bytes, latency_s
    requests = [transfer(number) for number in range(100)]
    outcomes = await asyncio.gather(*map(line.journal.post, requests))
    await everything_told_is_so(line, [*told, *zip(requests, outcomes, strict=True)])


async def test_a_silent_line_holds_up_requests_and_then_answers_them(line: Line) -> None:
    told = [(transfer(0), await line.journal.post(transfer(0)))]
    line.proxy.stop_flow()
    waiting = [asyncio.create_task(line.journal.post(transfer(n))) for n in range(1, 50)]
    done, _ = await asyncio.wait(waiting, timeout=3.0)
    assert not done
    line.proxy.resume_flow()
    async with asyncio.timeout(RECOVERY_S):
        outcomes = await asyncio.gather(*waiting)
    told += [(transfer(n), outcome) for n, outcome in enumerate(outcomes, start=1)]
    await everything_told_is_so(line, told)


async def test_connections_that_vanish_do_not_take_the_pool_with_them(
    postgresql_line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    """On MongoDB the heartbeat of a single connection tells: tests/integration/storage has it."""
    line = postgresql_line
    assert isinstance(line.storage, PostgresStorage)
    await warm_up(line.storage, connections=5)
    assert line.proxy.lose_connections() == 5
    began = time.monotonic()
    told = []
    async with asyncio.timeout(REQUEST_S):
        # A definite "not now" within its time is an answer, too.
        with contextlib.suppress(Unavailable):
            told.append((transfer(0), await line.journal.post(transfer(0))))
        lost_s = time.monotonic() - began
    began = time.monotonic()
    async with asyncio.timeout(RECOVERY_S):
        told += [(transfer(n), await line.journal.post(transfer(n))) for n in range(1, 20)]
        await asyncio.gather(*(line.storage.ping() for _ in range(5)))
    tell(capsys, f"vanished: {lost_s:.1f} s, then {time.monotonic() - began:.1f} s")
    outcome = await line.journal.post(transfer(0))
    if not told or told[0][0] != transfer(0):
        told.append((transfer(0), Outcome(Verdict.CREATED, outcome.transfer)))
    await everything_told_is_so(line, told)


async def warm_up(storage: PostgresStorage, *, connections: int) -> None:
    """Let the pool make so many connections."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(connections):
            await stack.enter_async_context(storage.engine.acquire())
