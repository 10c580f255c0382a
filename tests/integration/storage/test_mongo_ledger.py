"""A book on MongoDB: what the server refuses, and who writes when holders pause, die or overlap."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson.int64 import Int64
from msgspec.structs import replace
from pymongo.errors import WriteError

from guilder.ledger.journal import Journal
from guilder.ledger.models import Verdict
from guilder.ledger.verify import verify
from guilder.storage import open_storage
from guilder.storage.base import LedgerBatch
from guilder.storage.errors import StorageUnavailable
from guilder.storage.mongo import lease as lease_module
from guilder.storage.mongo.engine import Body, Engine
from guilder.storage.mongo.lease import Seat
from guilder.storage.mongo.ledger import MongoLedger
from guilder.storage.mongo.storage import MongoStorage
from guilder.storage.records import TransferKind
from tests.support.books import account_id, request
from tests.support.databases import Database
from tests.support.mongo import MongoServer
from tests.support.postgres_books import created, journal_on, open_funded, posted


@pytest.fixture
async def mongodb_database(mongodb: MongoServer) -> AsyncIterator[Database]:
    async with mongodb.database() as database:
        yield database


@contextlib.asynccontextmanager
async def opened(database: Database) -> AsyncIterator[MongoStorage]:
    """Lend a storage of its own, as another process would have."""
    storage = await open_storage(database.url)
    assert isinstance(storage, MongoStorage)
    try:
        yield storage
    finally:
        await storage.close()


@pytest.mark.parametrize(
    ("collection", "query", "update"),
    [
        ("accounts", {}, {"$set": {"posted": 1}}),
        ("accounts", {}, {"$set": {"posted": 1.0}}),
        ("accounts", {}, {"$inc": {"posted": 1.5}}),
        ("accounts", {}, {"$set": {"posted": "1"}}),
        ("accounts", {}, {"$unset": {"posted": 1}}),
        ("accounts", {}, {"$set": {"pending_in": Int64(-1)}}),
        ("accounts", {}, {"$set": {"sequence": Int64(-1)}}),
        ("accounts", {"no_overdraft": True}, {"$set": {"posted": Int64(-1)}}),
        ("accounts", {"no_overdraft": True}, {"$set": {"pending_out": Int64(11)}}),
        ("accounts", {"no_overdraft": True}, {"$set": {"is_closed": True}}),
        ("transfers", {}, {"$set": {"amount_minor": 5}}),
        ("transfers", {}, {"$set": {"amount_minor": 5.0}}),
        ("transfers", {}, {"$set": {"amount_minor": Int64(0)}}),
        ("transfers", {}, {"$set": {"debit_posted": 5}}),
        ("transfers", {}, {"$set": {"kind": 99}}),
        ("holds", {}, {"$set": {"remaining_minor": 5}}),
        ("holds", {}, {"$set": {"remaining_minor": Int64(6)}}),
        ("holds", {}, {"$set": {"remaining_minor": Int64(-1)}}),
        ("head", {"_id": "head"}, {"$set": {"position": 5}}),
        ("head", {"_id": "head"}, {"$set": {"revision": 1.0}}),
    ],
)
async def test_impossible_books_are_refused_by_the_server(
    mongodb_storage: MongoStorage, collection: str, query: Body, update: Body
) -> None:
    async with journal_on(mongodb_storage.ledger()) as journal:
        await open_funded(journal, payer=10, payee=0)
        created([await journal.post(request("payer", "payee", 5, kind=TransferKind.HOLD))])
    with pytest.raises(WriteError) as caught:
        await mongodb_storage.engine.database[f"book_main_{collection}"].update_one(query, update)
    assert caught.value.code == 121
    assert (await verify(mongodb_storage.ledger())).ok


async def test_no_two_transfers_have_one_id_or_position(mongodb_storage: MongoStorage) -> None:
    async with journal_on(mongodb_storage.ledger()) as journal:
        await open_funded(journal, payer=10)
    transfers = mongodb_storage.engine.database["book_main_transfers"]
    (body,) = await transfers.find().to_list()
    for changed in ({"_id": Int64(2)}, {"id": account_id("other")}):
        with pytest.raises(WriteError, match="E11000"):
            await transfers.insert_one({**body, **changed})


async def overtake(book: MongoLedger, batch: LedgerBatch) -> None:
    """Let another writer take the head of `batch`, and commit."""
    async with journal_on(book) as other:
        created([await other.post(request("mint", "payer", 1))])
    assert batch.head.position < (await book.head()).position


@pytest.mark.parametrize("is_rolled_back", [True, False])
async def test_a_paused_holder_cannot_commit(
    mongodb_database: Database, monkeypatch: pytest.MonkeyPatch, *, is_rolled_back: bool
) -> None:
    """Whether or not the one who took over has ended the transaction of the one before."""
    monkeypatch.setattr(lease_module, "LEASE_MS", 200)
    monkeypatch.setattr(lease_module, "PULSE_S", 60)
    if not is_rolled_back:
        monkeypatch.setattr(Seat, "_end_session", _leave)
    async with opened(mongodb_database) as first, opened(mongodb_database) as second:
        paused, other = first.ledger(), second.ledger()
        assert isinstance(other, MongoLedger)
        async with journal_on(other) as journal:
            await open_funded(journal, payer=100)

        async def write_late() -> None:
            async with paused.batch() as batch:
                found = await batch.load_accounts([account_id("payer")])
                payer = found[account_id("payer")]
                await overtake(other, batch)
                head = replace(batch.head, revision=batch.head.revision + 1)
                await batch.advance([replace(payer, posted=0, sequence=9)], [], [], head)

        with pytest.raises(StorageUnavailable):
            await write_late()
        async with journal_on(paused) as journal:
            assert await posted(journal, "payer") == 101
            created([await journal.post(request("mint", "payer", 1))])
        assert (await verify(paused)).ok


async def _leave(_self: Seat, _session_id: object) -> None:
    """End nothing."""


_DIES = """
import asyncio, os, sys
from guilder.storage import open_storage
from msgspec.structs import replace

async def die(url):
    storage = await open_storage(url)
    async with storage.ledger().batch() as batch:
        accounts = [each for each in await storage.ledger().accounts_of("payer")]
        if sys.argv[2] == "written":
            changed = [replace(each, sequence=each.sequence + 5) for each in accounts]
            head = replace(batch.head, revision=batch.head.revision + 1)
            await batch.advance(changed, [], [], head)
        print("holds", flush=True)
        await asyncio.sleep(60)

asyncio.run(die(sys.argv[1]))
"""


@pytest.mark.parametrize("moment", ["taken", "written"])
async def test_a_killed_holder_blocks_nobody_for_longer_than_its_lease(
    mongodb_database: Database, moment: str
) -> None:
    """Also one that has written everything, whose locks MongoDB would keep for a minute."""
    async with opened(mongodb_database) as storage, journal_on(storage.ledger()) as journal:
        await open_funded(journal, payer=100)
        before = await journal.book.accounts_after(None, 10)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _DIES, mongodb_database.url, moment),
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"holds\n"
        process.kill()
        killed_at = time.monotonic()
        await process.wait()
        assert await journal.book.accounts_after(None, 10) == before
        created([await journal.post(request("mint", "payer", 1))])
        waited_s = time.monotonic() - killed_at
        assert waited_s <= lease_module.LEASE_MS / 1000 + 0.5
        assert await posted(journal, "payer") == 101
        assert (await verify(storage.ledger())).ok


async def test_a_holder_that_works_longer_keeps_the_head(
    mongodb_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "LEASE_MS", 1_000)
    monkeypatch.setattr(lease_module, "PULSE_S", 0.1)
    async with opened(mongodb_database) as first, opened(mongodb_database) as second:
        async with journal_on(first.ledger()) as journal:
            await open_funded(journal, payer=100, payee=0)
        heads = first.engine.database["book_main_head"]
        async with journal_on(second.ledger()) as waiting:
            async with first.ledger().batch() as batch:
                asked = asyncio.create_task(waiting.post(request("payer", "payee", 1)))
                async with asyncio.timeout(10):
                    while not await _is_past_the_lease(heads):  # noqa: ASYNC110 - the server's
                        await asyncio.sleep(0.01)
                assert not asked.done()
                found = await batch.load_accounts([account_id("payer")])
                payer = replace(found[account_id("payer")], is_frozen=True)
                moved = replace(batch.head, revision=batch.head.revision + 1)
                await batch.set_flags([payer], moved)
            assert (await asked).verdict is Verdict.ACCOUNT_FROZEN


async def _is_past_the_lease(heads: Any) -> bool:
    """Tell whether the lease as it was taken is over, and the pulse goes on."""
    head = await heads.find_one({"_id": "head"}, {"lease": 1, "now": "$$NOW"})
    pulse = await heads.find_one({"_id": "pulse"})
    return bool(pulse and head["now"] > head["lease"]["until"])


async def test_a_lone_writer_waits_for_nobody(mongodb_storage: MongoStorage) -> None:
    async with journal_on(mongodb_storage.ledger()) as journal:
        await open_funded(journal, payer=100, payee=0)
        times = []
        for _ in range(20):
            began = time.monotonic()
            created([await journal.post(request("payer", "payee", 1))])
            times.append(time.monotonic() - began)
        assert min(times) < lease_module.LEASE_MS / 10_000


async def test_the_books_time_never_runs_backwards(mongodb_storage: MongoStorage) -> None:
    async with journal_on(mongodb_storage.ledger()) as journal:
        await open_funded(journal, payer=0)
        # As if the server's clock had been an hour ahead for the batch before.
        head = await mongodb_storage.engine.database["book_main_head"].find_one_and_update(
            {"_id": "head"},
            [{"$set": {"changed_at": {"$add": ["$$NOW", 3_600_000]}}}],
            return_document=True,
        )
        assert head is not None
        try:
            for _ in range(2):
                outcome = await journal.post(request("mint", "payer"))
                assert outcome.transfer is not None
                assert outcome.transfer.created_at == head["changed_at"]
        finally:
            await mongodb_storage.engine.database["book_main_head"].update_one(
                {"_id": "head"}, [{"$set": {"changed_at": "$$NOW"}}]
            )


class _CancelledAt:
    """Cancels a task in the middle of its batch, at its n-th command."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self.task: asyncio.Task[None] | None = None

    def count(self) -> None:
        self.calls += 1
        if self.calls == self.number:
            assert self.task is not None
            self.task.cancel()


@pytest.mark.parametrize("size", [3, 2_100])
async def test_cancelled_at_any_command_nothing_is_left(
    mongodb_storage: MongoStorage, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A writer that dies at any command of its batch: all or nothing, usable at once."""
    book = mongodb_storage.ledger()
    async with journal_on(book) as journal:
        await open_funded(journal, payer=10_000, payee=0)
    asked = [request("payer", "payee", 1, kind=TransferKind.HOLD) for _ in range(size)]
    database_type = type(mongodb_storage.engine.database)
    command = database_type.command
    armed = _CancelledAt(-1)

    async def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        armed.count()
        return await command(self, *arguments, **options)

    monkeypatch.setattr(database_type, "command", counted)
    for number in range(1, 100):
        head = await book.head()
        before = await book.accounts_after(None, 10), await book.holds_after(None, 5_000)
        armed = _CancelledAt(number)
        attempt = armed.task = asyncio.create_task(Journal(book)._attempt(asked, []))
        (result,) = await asyncio.gather(attempt, return_exceptions=True)
        armed.number = -1
        if not isinstance(result, BaseException):
            break
        after = await book.accounts_after(None, 10), await book.holds_after(None, 5_000)
        assert (await book.head(), after) == (head, before)
    assert number > 4, "there were that many commands"
    assert (await book.head()).position == head.position + size
    assert (await verify(book)).ok


async def test_a_book_that_was_not_made_is_said(mongodb_storage: MongoStorage) -> None:
    with pytest.raises(StorageUnavailable, match="run the migrations"):
        async with mongodb_storage.ledger("nobody").batch():
            pass


async def test_writers_of_two_processes_take_turns_without_conflicts(
    mongodb_database: Database,
) -> None:
    """Write skew is legal on MongoDB: two that decide on one balance must never both commit."""
    async with opened(mongodb_database) as first, opened(mongodb_database) as second:
        async with journal_on(first.ledger()) as one, journal_on(second.ledger()) as two:
            await open_funded(one, payer=32, payee=0)
            for _ in range(5):
                asked = [journal.post(request("payer", "payee", 1)) for journal in (one, two) * 32]
                verdicts = [each.verdict for each in await asyncio.gather(*asked)]
                assert verdicts.count(Verdict.CREATED) == 32
                assert verdicts.count(Verdict.INSUFFICIENT_FUNDS) == 32
                created([await one.post(request("payee", "payer", 32))])
        assert (await verify(first.ledger())).ok


async def test_an_engine_is_opened_once_and_closed_twice(mongodb_database: Database) -> None:
    engine = Engine(mongodb_database.url)
    await engine.open()
    with pytest.raises(Exception, match="opened once"):
        await engine.open()
    await engine.close()
    await engine.close()
    with pytest.raises(Exception, match="is open"):
        await engine.ping()
