"""What the database itself refuses and keeps, whatever the code above it does."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace
from pymongo.errors import OperationFailure

from guilder.kernel.errors import InvariantViolation
from guilder.ledger import journal as journal_module
from guilder.ledger.journal import Journal
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from guilder.ledger.verify import verify
from guilder.storage import open_storage
from guilder.storage.base import TransferFilter
from guilder.storage.errors import StorageUnavailable
from guilder.storage.postgres.ledger import PostgresLedger
from guilder.storage.records import GENESIS, TransferKind
from tests.support.books import NOON, account_id, request, transfer_id
from tests.support.databases import Database
from tests.support.postgres_books import created, journal_on, open_funded, owner_of, posted, state


class TestAppendOnly:
    """The journal only grows, whoever asks."""

    STATEMENTS = (
        "UPDATE book_main.transfers SET amount_minor = 1",
        "DELETE FROM book_main.transfers",
        "TRUNCATE book_main.transfers",
    )

    @pytest.mark.parametrize("statement", STATEMENTS)
    async def test_not_even_its_owner_changes_it(
        self, own_journal: Journal, database: Database, statement: str
    ) -> None:
        await open_funded(own_journal, payer=10)
        async with owner_of(database) as owner:
            with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                await owner.execute(statement)
        assert (await verify(own_journal.book)).transfers == 1

    @pytest.mark.parametrize("statement", STATEMENTS)
    async def test_the_application_lacks_the_right(
        self, own_journal: Journal, database: Database, statement: str
    ) -> None:
        await open_funded(own_journal, payer=10)
        connection = await asyncpg.connect(database.url)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        await connection.close()


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE book_main.balances SET posted = -1 WHERE no_overdraft", "covered"),
        ("UPDATE book_main.balances SET pending_out = 11 WHERE no_overdraft", "covered"),
        ("UPDATE book_main.balances SET pending_in = -1", "balances_pending_in_check"),
        ("UPDATE book_main.balances SET pending_out = -1", "balances_pending_out_check"),
        ("UPDATE book_main.balances SET is_closed = true", "closed_is_empty"),
        ("UPDATE book_main.holds SET remaining_minor = -1", "holds_check"),
        ("UPDATE book_main.holds SET remaining_minor = 6", "holds_check"),
        ("INSERT INTO book_main.head SELECT * FROM book_main.head", "head_pkey"),
        ("UPDATE book_main.head SET hash = ''", "head_hash_check"),
        (
            "INSERT INTO book_main.transfers SELECT t.* FROM book_main.transfers AS t LIMIT 1",
            "transfers_pkey",
        ),
    ],
)
async def test_impossible_books_are_refused(
    own_journal: Journal, database: Database, statement: str, constraint: str
) -> None:
    await open_funded(own_journal, payer=10, payee=0)
    created([await own_journal.post(request("payer", "payee", 5, kind=TransferKind.HOLD))])
    async with owner_of(database) as owner:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
            await owner.execute(statement)
    name = caught.value.constraint_name
    assert name == constraint
    assert (await verify(own_journal.book)).ok


async def test_an_overdraft_by_a_faulty_writer_is_refused(journal: Journal) -> None:
    """The last line of defence: a balance below zero never reaches the disk."""
    await open_funded(journal, payer=10)
    broken = replace(await state(journal, "payer"), posted=-1, sequence=2)

    async def overdraw() -> None:
        async with journal.book.batch() as batch:
            head = replace(batch.head, revision=batch.head.revision + 1)
            await batch.advance([broken], [], [], head)

    with pytest.raises((asyncpg.CheckViolationError, OperationFailure)):
        await overdraw()
    assert await posted(journal, "payer") == 10


async def test_a_head_that_moved_stops_the_writer(journal: Journal) -> None:
    await open_funded(journal, payer=10)
    payer = await state(journal, "payer")

    async def write_past_the_head() -> None:
        async with journal.book.batch() as batch:
            batch.head = replace(batch.head, revision=batch.head.revision - 1)
            await batch.advance([payer], [], [], batch.head)

    with pytest.raises((InvariantViolation, StorageUnavailable), match=r"head is where|has taken"):
        await write_past_the_head()


class TestTime:
    """The book's time is the database's, and never runs backwards."""

    async def test_it_is_the_databases(self, own_journal: Journal, database: Database) -> None:
        await open_funded(own_journal, payer=0)
        async with owner_of(database) as owner:
            before = await owner.fetchval("SELECT date_trunc('milliseconds', clock_timestamp())")
            outcome = await own_journal.post(request("mint", "payer"))
            after = await owner.fetchval("SELECT clock_timestamp()")
        assert outcome.transfer is not None
        assert before <= outcome.transfer.created_at <= after
        assert outcome.transfer.created_at.microsecond % 1000 == 0

    async def test_a_clock_that_was_put_back_does_not_turn_it(
        self, own_journal: Journal, database: Database
    ) -> None:
        await open_funded(own_journal, payer=0)
        async with owner_of(database) as owner:
            # As if the server's clock had been an hour ahead for the batch before.
            ahead = await owner.fetchval(
                "UPDATE book_main.head SET changed_at = changed_at + interval '1 hour' "
                "RETURNING changed_at"
            )
        for _ in range(2):
            outcome = await own_journal.post(request("mint", "payer"))
            assert outcome.transfer is not None
            assert outcome.transfer.created_at == ahead


class TestTransfersAreKeptWhole:
    """What was written is read back the same, hash and all."""

    async def test_every_field(self, journal: Journal) -> None:
        await open_funded(journal, payer=100, payee=0)
        asked = request(
            "payer",
            "payee",
            5,
            kind=TransferKind.HOLD,
            code="sale",
            group_id=transfer_id("group"),
            expires_at=NOON + timedelta(milliseconds=1),
            effective_at=NOON - timedelta(days=20_000),
            reference="gracht 1 \u20ac \U0001f600 \\ ' \"",
            metadata={"z": "\u00e9", "a": '"\\', "": "empty", "long": "x" * 5_000},
        )
        for fields in ({}, {"kind": TransferKind.POST}):
            outcome = await journal.post(replace(asked, id=transfer_id(fields), **fields))
            assert outcome.transfer is not None
            stored = await journal.book.transfers([outcome.transfer.id])
            assert stored == {outcome.transfer.id: outcome.transfer}

    async def test_holds_too(self, journal: Journal) -> None:
        await open_funded(journal, payer=100, payee=0)
        hold = request("payer", "payee", 9, kind=TransferKind.HOLD, expires_at=NOON)
        created([await journal.post(hold)])
        (stored,) = await journal.book.holds_after(None, 5)
        assert (stored.id, stored.remaining_minor, stored.expires_at) == (hold.id, 9, NOON)
        release = request("payer", "payee", 0, kind=TransferKind.RELEASE, hold_id=hold.id)
        capture = replace(release, kind=TransferKind.CAPTURE, amount_minor=9, id=transfer_id("c"))
        expired, released = await journal.post_all([capture, release])
        assert expired.verdict is Verdict.HOLD_EXPIRED
        created([released])
        assert (await journal.book.holds_after(None, 5))[0].remaining_minor == 0
        assert await journal.book.holds_after(hold.id, 5) == []


@pytest.mark.parametrize("neighbours", [0, 80])
@pytest.mark.parametrize(
    "amount",
    [1.5, 1.0, True, Decimal(1), Decimal("1.5"), "1", None],
    ids=lambda value: f"{type(value).__name__}-{value}",
)
async def test_amounts_that_would_be_cut_to_fit_are_refused(
    journal: Journal, amount: Any, neighbours: int
) -> None:
    """asyncpg writes 1.5 and True into a bigint without a word: by INSERT and by COPY."""
    await open_funded(journal, payer=1_000, payee=0)
    head = await journal.book.head()
    asked = [request("payer", "payee", 1) for _ in range(neighbours)]
    asked.insert(neighbours // 2, request("payer", "payee", amount))
    with pytest.raises(Exception):  # noqa: B017, PT011 - each is refused by another
        await journal.post_all(asked)
    assert await journal.book.head() == head
    assert await posted(journal, "payer") == 1_000
    created([await journal.post(request("payer", "payee", 1))])


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"description": "a\0b"}},
        {"metadata": {"a\0b": "x"}},
        {"metadata": {"description": "\ud800"}},
        {"reference": "a\0b"},
        {"reference": "\udfff"},
        {"code": "\0"},
        {"fingerprint": b"short"},
        {"fingerprint": b"x" * 33},
        {"effective_at": NOON.replace(tzinfo=None)},
        {"amount_minor": 1.5},
        {"amount_minor": True},
    ],
    ids=repr,
)
@pytest.mark.parametrize("crowd", [2, 70])
async def test_what_cannot_be_written_fails_alone(
    journal: Journal, fields: dict[str, Any], crowd: int
) -> None:
    await open_funded(journal, payer=1_000, payee=0)
    good = [request("payer", "payee", 1) for _ in range(crowd)]
    bad = replace(request("payer", "payee", 1), **fields)
    asked: list[TransferRequest] = [*good[: crowd // 2], bad, *good[crowd // 2 :]]
    found = await asyncio.gather(*map(journal.post, asked), return_exceptions=True)
    failed = found.pop(crowd // 2)
    assert isinstance(failed, Exception)
    created([each for each in found if isinstance(each, Outcome)])
    assert await posted(journal, "payee") == crowd
    assert await journal.book.transfers([bad.id]) == {}


class _CancelledAt:
    """Cancels a task at its n-th wait for the database. Others, such as a pool's, go on."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self.task: asyncio.Task[None] | None = None

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapped(*arguments: Any, **options: Any) -> Any:
            task = asyncio.current_task()
            if task is not None and task is self.task:
                self.calls += 1
                if self.calls == self.number:
                    task.cancel()
            return await call(*arguments, **options)

        return wrapped


@pytest.fixture
def at_every_wait(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], _CancelledAt]]:
    def arm(number: int) -> _CancelledAt:
        cancelled = _CancelledAt(number)
        for name in ("fetch", "execute", "copy_to_table"):
            call = getattr(asyncpg.Connection, name)
            monkeypatch.setattr(asyncpg.Connection, name, cancelled.wrap(call))
        return cancelled

    yield arm
    monkeypatch.undo()


@pytest.mark.parametrize("size", [3, 80])
async def test_asvs_15_4_3_cancelled_at_any_wait_nothing_is_left(
    database: Database, at_every_wait: Callable[[int], _CancelledAt], size: int
) -> None:
    """A writer that dies at any await of its batch: all or nothing, and the book usable at once."""
    storage = await open_storage(database.url)
    book = storage.ledger()
    async with journal_on(book) as journal:
        await open_funded(journal, payer=10_000, payee=0)
    asked = [request("payer", "payee", 1, kind=TransferKind.HOLD) for _ in range(size)]
    number = 0
    while True:
        number += 1
        head = await book.head()
        before = await book.accounts_after(None, 10), await book.holds_after(None, 1_000)
        armed = at_every_wait(number)
        armed.task = asyncio.create_task(Journal(book)._attempt(asked, []))
        (result,) = await asyncio.gather(armed.task, return_exceptions=True)
        armed.task = None
        if not isinstance(result, BaseException):
            break
        if await book.head() != head:
            # Cancelled while COMMIT was under way: it took effect, whole.
            assert (await book.head()).position == head.position + size
            break
        after = await book.accounts_after(None, 10), await book.holds_after(None, 1_000)
        assert after == before
        assert await book.transfers([each.id for each in asked]) == {}
    assert number > 5, "there were that many waits"
    async with journal_on(book) as journal:
        found = await journal.post_all(asked)
        assert {each.verdict for each in found} <= {Verdict.CREATED, Verdict.EXISTS}
    assert (await verify(book)).ok
    await storage.close()


async def test_an_empty_book(journal: Journal) -> None:
    assert await journal.book.head() == replace(
        GENESIS, revision=(await journal.book.head()).revision
    )
    assert await journal.book.transfers_after(0, 10) == []
    assert await journal.book.transfers([]) == {}
    assert await journal.book.accounts([]) == {}


async def test_refusals_alone_leave_the_head_where_it_is(journal: Journal) -> None:
    await open_funded(journal, payer=1)
    head = await journal.book.head()
    assert (await journal.post(request("payer", "mint", 2))).verdict is Verdict.INSUFFICIENT_FUNDS
    assert await journal.book.head() == head


@pytest.mark.parametrize("name", ["", "a-b", "a b", "main; DROP TABLE x", "1a"])
def test_a_books_name_is_an_identifier(name: str) -> None:
    with pytest.raises(InvariantViolation, match="identifier"):
        PostgresLedger(None, name)  # type: ignore[arg-type]


async def test_a_lost_answer_to_commit_is_found_out(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection dies right after COMMIT took effect, before anybody heard of it."""
    monkeypatch.setattr(journal_module, "RETRY_PAUSE_S", 0)
    storage = await open_storage(database.url)
    name = "_Transaction__commit"
    commit = getattr(asyncpg.transaction.Transaction, name)
    losses = 1

    async def lost(self: Any) -> None:
        nonlocal losses
        await commit(self)
        if losses:
            losses -= 1
            raise asyncpg.ConnectionDoesNotExistError("connection was closed")

    async with journal_on(storage.ledger()) as journal:
        await open_funded(journal, payer=10, payee=0)
        monkeypatch.setattr(asyncpg.transaction.Transaction, name, lost)
        once = request("payer", "payee", 4)
        found = await journal.post_all([once, once])
        assert [each.verdict for each in found] == [Verdict.CREATED, Verdict.EXISTS]
        assert losses == 0
        assert await posted(journal, "payee") == 4
    assert (await verify(storage.ledger())).ok
    await storage.close()


async def test_history_of_accounts_newest_first_and_each_transfer_once(journal: Journal) -> None:
    """Also where one set has both sides, and whatever is written between two pages."""
    await open_funded(journal, payer=100, payee=0, third=0)
    created(
        await journal.post_all(
            [request("payer", "payee", n) for n in (1, 2, 3, 4, 5)]
            + [request("payee", "third", 6), request("payer", "third", 7)]
        )
    )

    async def amounts(*names: str, before: int | None = None, **options: Any) -> list[int]:
        limit = options.pop("limit", 25)
        found = await journal.book.account_transfers(
            [account_id(name) for name in names],
            TransferFilter(**options),
            before_position=before,
            limit=limit,
        )
        assert [t.position for t in found] == sorted((t.position for t in found), reverse=True)
        return [transfer.amount_minor for transfer in found]

    assert await amounts("payer", "payee") == [7, 6, 5, 4, 3, 2, 1, 100]
    assert await amounts("payer", "payee", limit=3) == [7, 6, 5]
    assert await amounts("payer", "payee", side="debit") == [7, 6, 5, 4, 3, 2, 1]
    assert await amounts("payer", "payee", side="credit", limit=2) == [5, 4]
    assert await amounts("payee", before=5, limit=2) == [3, 2]
    created([await journal.post(request("payer", "payee", 8))])
    assert await amounts("payee", before=5, limit=2) == [3, 2]
    assert await amounts("third", kinds=(TransferKind.HOLD,)) == []
    assert await amounts("third", code="test", amount_at_least=7) == [7]
    assert await amounts("nobody") == await amounts() == []
