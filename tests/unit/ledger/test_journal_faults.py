"""The journal writer when things go wrong: lost answers, poison, amounts that are none."""

import asyncio
import itertools
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from guilder.kernel.errors import Unavailable
from guilder.ledger import journal as journal_module
from guilder.ledger.journal import Journal
from guilder.ledger.models import Outcome, Verdict
from guilder.storage.errors import StorageUnavailable
from tests.support.books import MemoryBook, request, transfer_id
from tests.support.journals import Start, fund, hold_up, until, verdicts

CREATED, EXISTS = Verdict.CREATED, Verdict.EXISTS


class TestLostAnswers:
    """The database goes away, before or after COMMIT took effect."""

    @pytest.fixture(autouse=True)
    def _no_pause(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journal_module, "RETRY_PAUSE_S", 0)

    @pytest.mark.parametrize("losses", [1, 3])
    async def test_before_the_commit_it_is_tried_again(
        self, journal: Journal, book: MemoryBook, losses: int
    ) -> None:
        book.lose_before = losses
        assert verdicts(await journal.post_all([fund(), fund()])) == [CREATED] * 2
        assert book.posted("payer") == 2
        assert journal.batches == 1

    async def test_after_the_commit_it_was_created_and_only_once(
        self, journal: Journal, book: MemoryBook
    ) -> None:
        once = fund(7)
        book.lose_after = 1
        refused = request("payee", "payer", 1)
        found = verdicts(await journal.post_all([once, once, refused]))
        assert found == [CREATED, EXISTS, Verdict.INSUFFICIENT_FUNDS]
        assert book.posted("payer") == 7
        assert (await journal.post(once)).verdict is EXISTS

    async def test_after_the_commit_a_group_was_created(
        self, journal: Journal, book: MemoryBook
    ) -> None:
        book.lose_after = 1
        group = [fund(group_id=transfer_id("g")) for _ in range(3)]
        assert verdicts(await journal.post_all(group)) == [CREATED] * 3
        assert len(book.journal) == 3

    async def test_lost_first_before_and_then_after(
        self, journal: Journal, book: MemoryBook
    ) -> None:
        book.lose_before = book.lose_after = 1
        assert verdicts(await journal.post_all([fund(2), fund(3)])) == [CREATED] * 2
        assert book.posted("payer") == 5

    async def test_what_somebody_else_created_meanwhile_exists(
        self, journal: Journal, book: MemoryBook
    ) -> None:
        """Our attempt came to nothing; another process did it. Both saying `created` is wrong."""
        once = fund(7)
        other = Journal(book)
        await other.start()
        book.lose_before = 1
        told: list[Outcome] = []

        async def pause(_: float) -> None:
            told.append(await other.post(replace(once)))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "sleep", pause)
            mine = await journal.post(once)
        await other.stop()
        assert [told[0].verdict, mine.verdict] == [CREATED, EXISTS]
        assert told[0].transfer == mine.transfer
        assert book.posted("payer") == 7

    async def test_memory_of_a_lost_batch_is_not_believed(
        self, journal: Journal, book: MemoryBook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(journal_module, "RETRY_FOR_S", 0)
        book.lose_before = 1
        with pytest.raises(StorageUnavailable):
            await journal.post(fund(10))
        outcome = await journal.post(request("payer", "payee", 1))
        assert outcome.verdict is Verdict.INSUFFICIENT_FUNDS

    async def test_it_gives_up_after_a_while(
        self, journal: Journal, book: MemoryBook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        book.lose_before = 10**9
        clock = SimpleNamespace(monotonic=itertools.count().__next__)
        monkeypatch.setattr(journal_module, "time", clock)
        with pytest.raises(Unavailable) as caught:
            await journal.post_all([fund(), fund()])
        assert caught.value.retryable
        assert len(book.begun) == journal_module.RETRY_FOR_S
        monkeypatch.undo()
        book.lose_before = 0
        assert (await journal.post(fund())).verdict is CREATED
        assert len(book.journal) == 1

    async def test_everybody_in_the_batch_is_told(
        self, journal: Journal, book: MemoryBook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(journal_module, "RETRY_FOR_S", 0)
        first = await hold_up(journal, book)
        tasks = [asyncio.create_task(journal.post(fund())) for _ in range(6)]
        await until(lambda: journal.waiting == 6)
        book.lose_before = 2
        book.open.set()
        found = await asyncio.gather(first, *tasks, return_exceptions=True)
        assert [type(each) for each in found] == [StorageUnavailable] * 7
        assert book.journal == []


class TestPoison:
    """A request that cannot be written fails alone."""

    @pytest.mark.parametrize("places", [{0}, {7}, {15}, {3, 4, 12}, set(range(16))])
    async def test_neighbours_are_committed(
        self, journal: Journal, book: MemoryBook, places: set[int]
    ) -> None:
        await hold_up(journal, book)
        tasks = [
            asyncio.create_task(journal.post(fund(code="poison" if n in places else "test")))
            for n in range(16)
        ]
        await until(lambda: journal.waiting == 16)
        book.open.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert {n for n, each in enumerate(found) if isinstance(each, ValueError)} == places
        good = [each for each in found if isinstance(each, Outcome)]
        assert [each.verdict for each in good] == [CREATED] * (16 - len(places))
        assert book.posted("payer") == 17 - len(places)

    async def test_a_submission_fails_whole(self, journal: Journal, book: MemoryBook) -> None:
        with pytest.raises(ValueError, match="cannot keep"):
            await journal.post_all([fund(), fund(code="poison"), fund()])
        assert book.journal == []

    async def test_a_database_lost_while_poison_is_sought(
        self, journal: Journal, book: MemoryBook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(journal_module, "RETRY_FOR_S", 0)
        await hold_up(journal, book)
        asked = [fund(), fund(code="poison"), fund(), fund()]
        tasks = [asyncio.create_task(journal.post(each)) for each in asked]
        await until(lambda: journal.waiting == 4)
        commits = itertools.count()

        def lose_the_second() -> None:
            book.lose_before = int(next(commits) == 1)

        book.before_commit = lose_the_second
        book.open.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[1], ValueError)
        kinds = [type(found[index]) for index in (0, 2, 3)]
        assert kinds == [StorageUnavailable, Outcome, Outcome]


@pytest.mark.parametrize("amount", [1.5, "1", None])
async def test_an_amount_that_is_no_int_is_never_written(
    start: Start, book: MemoryBook, amount: Any
) -> None:
    """`True` passes here; the storage engine refuses it: `tests/integration/ledger`."""
    journal = await start()
    with pytest.raises((TypeError, struct.error)):
        await journal.post(fund(amount))
    assert book.journal == []
