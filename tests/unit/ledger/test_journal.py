"""The journal writer on a book in memory: batches, memory, overload, draining."""

import asyncio

import pytest
from msgspec.structs import replace

from guilder.kernel.errors import InvariantViolation, Unavailable
from guilder.ledger import journal as journal_module
from guilder.ledger.errors import Overloaded
from guilder.ledger.journal import Journal
from guilder.ledger.models import Outcome, Verdict
from guilder.storage.records import TransferKind
from tests.support.books import MemoryBook, account, account_id, request, transfer_id
from tests.support.journals import Start, fund, hold_up, until, verdicts

CREATED, EXISTS = Verdict.CREATED, Verdict.EXISTS


class TestBatches:
    """What waits while a batch commits is the next batch."""

    async def test_a_lone_request_commits_at_once(self, journal: Journal, book: MemoryBook) -> None:
        outcome = await journal.post(fund(5))
        assert outcome.verdict is CREATED
        assert outcome.transfer == book.journal[0]
        assert (journal.batches, journal.transfers, book.posted("payer")) == (1, 1, 5)

    async def test_a_crowd_commits_together(self, journal: Journal, book: MemoryBook) -> None:
        first = await hold_up(journal, book)
        crowd = [asyncio.create_task(journal.post(fund())) for _ in range(50)]
        await until(lambda: journal.waiting == 50)
        book.open.set()
        outcomes = await asyncio.gather(first, *crowd)
        assert verdicts(outcomes) == [CREATED] * 51
        assert (journal.batches, journal.transfers, journal.waiting) == (2, 51, 0)

    async def test_nobody_hears_before_the_commit(self, journal: Journal, book: MemoryBook) -> None:
        posted: list[asyncio.Task[Outcome]] = []
        book.before_commit = lambda: check(not posted[0].done())
        posted.append(asyncio.create_task(journal.post(fund())))
        assert (await posted[0]).verdict is CREATED

    async def test_everybody_gets_his_own_answers(self, journal: Journal, book: MemoryBook) -> None:
        await hold_up(journal, book)
        asked = [[fund(n), request("payer", "payee", 10**6), fund(n + 1)] for n in range(1, 9)]
        tasks = [asyncio.create_task(journal.post_all(each)) for each in asked]
        await until(lambda: journal.waiting == 24)
        book.open.set()
        for requests, outcomes in zip(asked, await asyncio.gather(*tasks), strict=True):
            assert verdicts(outcomes) == [CREATED, Verdict.INSUFFICIENT_FUNDS, CREATED]
            told = [outcome.transfer.id for outcome in outcomes if outcome.transfer]
            assert told == [requests[0].id, requests[2].id]

    async def test_a_submission_is_never_split(self, start: Start, book: MemoryBook) -> None:
        journal = await start(batch_max=10)
        await hold_up(journal, book)
        asked = [[fund() for _ in range(size)] for size in (4, 4, 4, 10, 1, 1)]
        tasks = [asyncio.create_task(journal.post_all(each)) for each in asked]
        await until(lambda: journal.waiting == 24)
        book.open.set()
        await asyncio.gather(*tasks)
        assert [len(ids) for ids in book.begun] == [1, 8, 4, 10, 2]
        for requests in asked:
            ids = {each.id for each in requests}
            assert sum(ids <= set(begun) for begun in book.begun) == 1

    async def test_a_submission_is_not_empty_nor_larger_than_a_batch(self, start: Start) -> None:
        journal = await start(batch_max=2)
        for count in (0, 3):
            with pytest.raises(InvariantViolation):
                await journal.post_all([fund() for _ in range(count)])

    async def test_one_group_asked_for_twice_at_a_time_stays_two(
        self, journal: Journal, book: MemoryBook
    ) -> None:
        """Side by side in a batch they would be decided as one group: each would fail the other."""
        await hold_up(journal, book)
        group = [
            replace(fund(10, id=transfer_id(name)), group_id=transfer_id("g")) for name in "ab"
        ]
        tasks = [asyncio.create_task(journal.post_all(group)) for _ in range(3)]
        alone = asyncio.create_task(journal.post(fund()))
        await until(lambda: journal.waiting == 7)
        book.open.set()
        found = [verdicts(outcomes) for outcomes in await asyncio.gather(*tasks)]
        assert sorted(found) == [[CREATED] * 2, [EXISTS] * 2, [EXISTS] * 2]
        assert (await alone).verdict is CREATED
        assert book.posted("payer") == 22

    async def test_slices_cut_no_group(
        self, journal: Journal, book: MemoryBook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(journal_module, "SLICE", 4)
        bad = [fund(group_id=transfer_id("bad")) for _ in range(4)]
        bad.append(request("payer", "payee", 10**9, group_id=transfer_id("bad")))
        good = [fund(group_id=transfer_id("good")) for _ in range(5)]
        found = verdicts(await journal.post_all([fund(), fund(), *bad, *good, fund()]))
        failed = [Verdict.GROUP_FAILED] * 4 + [Verdict.INSUFFICIENT_FUNDS]
        assert found == [CREATED] * 2 + failed + [CREATED] * 6
        assert book.posted("payer") == 8

    async def test_slices_see_one_another(
        self, journal: Journal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(journal_module, "SLICE", 2)
        hold = request("payer", "payee", 3, kind=TransferKind.HOLD)
        capture = request("payer", "payee", 3, kind=TransferKind.CAPTURE, hold_id=hold.id)
        once = fund(3)
        asked = [once, hold, capture, once, request("payer", "payee", 1), request("payee", "payer")]
        assert verdicts(await journal.post_all(asked)) == [
            *[CREATED, CREATED, CREATED, EXISTS],
            *[Verdict.INSUFFICIENT_FUNDS, Verdict.INSUFFICIENT_FUNDS],
        ]


class TestMemory:
    """States of accounts are remembered while the head is where this writer left it."""

    async def test_what_was_loaded_is_not_loaded_again(
        self, journal: Journal, book: MemoryBook
    ) -> None:
        for _ in range(3):
            await journal.post(fund())
        assert sorted(book.loaded) == sorted([account_id("mint"), account_id("payer")])

    async def test_what_another_writer_did_is_seen(self, start: Start, book: MemoryBook) -> None:
        one, two = await start(), await start()
        await one.post(fund(10))
        assert (await two.post(request("payer", "payee", 10))).verdict is CREATED
        assert (await one.post(request("payer", "payee", 1))).verdict is Verdict.INSUFFICIENT_FUNDS
        assert (await one.post(fund(1))).verdict is CREATED

    async def test_a_changed_flag_is_seen(self, journal: Journal, book: MemoryBook) -> None:
        await journal.post(fund(10))
        payer = account_id("payer")
        book.account_by_id[payer] = replace(book.account_by_id[payer], is_frozen=True)
        book.end = replace(book.end, revision=book.end.revision + 1)
        outcome = await journal.post(request("payer", "payee", 1))
        assert outcome.verdict is Verdict.ACCOUNT_FROZEN
        await journal.post(fund())
        assert book.account_by_id[payer].is_frozen

    async def test_an_account_opened_later_is_found(
        self, journal: Journal, book: MemoryBook
    ) -> None:
        asked = request("mint", "newcomer")
        assert (await journal.post(asked)).verdict is Verdict.ACCOUNT_NOT_FOUND
        await journal.open_accounts([account("newcomer")])
        assert (await journal.post(asked)).verdict is CREATED

    async def test_it_does_not_grow_for_ever(
        self, journal: Journal, book: MemoryBook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(journal_module, "ACCOUNTS_REMEMBERED", 3)
        names = [f"p{number}" for number in range(6)]
        await journal.open_accounts([account(name) for name in names])
        for name in names * 2:
            assert (await journal.post(request("mint", name, 1))).verdict is CREATED
        assert [book.posted(name) for name in names] == [2] * 6
        assert len(journal._accounts) <= 5


class TestQueue:
    """Too many, too late, no longer interested."""

    async def test_too_many_are_turned_away_before_anything_is_written(
        self, start: Start, book: MemoryBook
    ) -> None:
        journal = await start(waiting_max=5)
        first = await hold_up(journal, book)
        accepted = [asyncio.create_task(journal.post(fund())) for _ in range(5)]
        await until(lambda: journal.waiting == 5)
        for count in (1, 2):
            with pytest.raises(Overloaded):
                await journal.post_all([fund() for _ in range(count)])
        book.open.set()
        assert verdicts(await asyncio.gather(first, *accepted)) == [CREATED] * 6
        assert len(book.journal) == 6
        assert (await journal.post(fund())).verdict is CREATED

    async def test_stop_commits_what_waits(self, start: Start, book: MemoryBook) -> None:
        journal = await start(batch_max=2)
        await hold_up(journal, book)
        tasks = [asyncio.create_task(journal.post(fund())) for _ in range(7)]
        await until(lambda: journal.waiting == 7)
        stopping = asyncio.create_task(journal.stop())
        await until(lambda: not journal.is_running)
        with pytest.raises(Unavailable):
            await journal.post(fund())
        assert not stopping.done()
        book.open.set()
        async with asyncio.timeout(5):
            await stopping
            assert verdicts(await asyncio.gather(*tasks)) == [CREATED] * 7
        assert len(book.journal) == 8

    async def test_stopped_twice_or_never_started(self, book: MemoryBook) -> None:
        journal = Journal(book)
        with pytest.raises(Unavailable):
            await journal.post(fund())
        await journal.stop()
        await journal.stop()

    async def test_started_once(self, journal: Journal) -> None:
        with pytest.raises(InvariantViolation):
            await journal.start()

    async def test_a_caller_who_left_holds_nobody_up(
        self, journal: Journal, book: MemoryBook
    ) -> None:
        await hold_up(journal, book)
        tasks = [asyncio.create_task(journal.post(fund())) for _ in range(4)]
        await until(lambda: journal.waiting == 4)
        for task in tasks[::2]:
            task.cancel()
        book.open.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in found] == [asyncio.CancelledError, Outcome] * 2
        assert (await journal.post(fund())).verdict is CREATED
        assert len(book.journal) == 6, "what was asked for is done, heard or not"

    async def test_a_caller_who_left_holds_no_failure_up(
        self, journal: Journal, book: MemoryBook
    ) -> None:
        await hold_up(journal, book)
        tasks = [asyncio.create_task(journal.post(fund(code="poison"))) for _ in range(2)]
        await until(lambda: journal.waiting == 2)
        tasks[0].cancel()
        book.open.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in found] == [asyncio.CancelledError, ValueError]
        assert (await journal.post(fund())).verdict is CREATED


def check(condition: object) -> None:
    assert condition
