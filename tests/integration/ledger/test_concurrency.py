"""Many at once: nothing over, nothing under, nothing twice."""

import asyncio
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from guilder.ledger.chain import chain_hash
from guilder.ledger.journal import Journal
from guilder.ledger.models import Outcome, Verdict
from guilder.ledger.verify import verify
from guilder.storage.records import GENESIS, Transfer
from tests.support.books import fingerprint, request, transfer_id
from tests.support.databases import Database
from tests.support.postgres_books import journals_on, open_funded, posted

CREATED, EXISTS, POOR = Verdict.CREATED, Verdict.EXISTS, Verdict.INSUFFICIENT_FUNDS


def verdicts(outcomes: list[Outcome]) -> list[Verdict]:
    return [outcome.verdict for outcome in outcomes]


async def whole_journal(journal: Journal) -> list[Transfer]:
    return await journal.book.transfers_after(0, 100_000)


@pytest.mark.parametrize("amount", [1, 3, 7])
async def test_64_at_once_spend_one_balance_to_its_last_unit(journal: Journal, amount: int) -> None:
    await open_funded(journal, payer=100, payee=0)
    asked = [request("payer", "payee", amount) for _ in range(64)]
    found = await asyncio.gather(*map(journal.post, asked))
    covered = min(64, 100 // amount)
    assert verdicts(found).count(CREATED) == covered
    assert verdicts(found).count(POOR) == 64 - covered
    assert await posted(journal, "payer") == 100 - covered * amount
    assert await posted(journal, "payee") == covered * amount


async def test_the_same_with_writers_that_share_only_the_database(new_database: Database) -> None:
    async with journals_on(new_database, 4) as journals:
        await open_funded(journals[0], payer=0, payee=0)
        for round_number in range(1, 4):
            await journals[0].post(request("mint", "payer", 30))
            asked = [request("payer", "payee", 1) for _ in range(64)]
            found = await asyncio.gather(
                *(journals[n % 4].post(each) for n, each in enumerate(asked))
            )
            assert verdicts(found).count(CREATED) == 30
            assert verdicts(found).count(POOR) == 34
            assert await posted(journals[0], "payee") == 30 * round_number
        assert (await verify(journals[0].book)).ok


async def test_writers_take_turns(new_database: Database) -> None:
    """Who has the head is alone; who waited for it sees what the one before has done."""
    async with journals_on(new_database, 2) as (one, two):
        await open_funded(one, payer=0)
        entered: list[str] = []
        async with one.book.batch() as mine:
            posting = asyncio.create_task(two.post(request("mint", "payer", 7)))
            posting.add_done_callback(lambda _: entered.append("other"))
            _, waiting = await asyncio.wait([posting], timeout=0.3)
            assert waiting, "the other writer has to wait"
            entered.append("mine")
            before = mine.head
        outcome = await posting
        assert entered == ["mine", "other"]
        assert outcome.transfer is not None
        assert outcome.transfer.position == before.position + 1


async def test_there_and_back(new_database: Database) -> None:
    """A to B against B to A, on two writers: no deadlock, nothing lost."""
    async with journals_on(new_database, 2) as journals:
        await open_funded(journals[0], left=50, right=50)
        there = [journals[0].post(request("left", "right", 5)) for _ in range(40)]
        back = [journals[1].post(request("right", "left", 5)) for _ in range(40)]
        found = await asyncio.gather(
            *(each for pair in zip(there, back, strict=True) for each in pair)
        )
        assert set(verdicts(found)) <= {CREATED, POOR}
        went, came = verdicts(found)[::2].count(CREATED), verdicts(found)[1::2].count(CREATED)
        assert await posted(journals[0], "left") == 50 - 5 * went + 5 * came
        assert await posted(journals[0], "left") + await posted(journals[0], "right") == 100


async def test_one_id_64_times_is_one_transfer(new_database: Database) -> None:
    once = request("payer", "payee", 10)
    async with journals_on(new_database, 4) as journals:
        await open_funded(journals[0], payer=1_000, payee=0)
        found = await asyncio.gather(*(journals[n % 4].post(once) for n in range(64)))
        assert sorted(verdicts(found)) == [CREATED] + [EXISTS] * 63
        told = {outcome.transfer.hash for outcome in found if outcome.transfer}
        assert len(told) == 1
        (stored,) = (await journals[0].book.transfers([once.id])).values()
        assert [outcome.transfer for outcome in found] == [stored] * 64
        assert await posted(journals[0], "payee") == 10


async def test_one_id_for_two_requests_goes_to_one_of_them(new_database: Database) -> None:
    async with journals_on(new_database, 2) as journals:
        await open_funded(journals[0], payer=1_000, payee=0)
        asked = [
            request("payer", "payee", 10, id=transfer_id("it"), fingerprint=fingerprint(n % 2))
            for n in range(32)
        ]
        found = await asyncio.gather(*(journals[n % 2].post(each) for n, each in enumerate(asked)))
        assert verdicts(found).count(CREATED) == 1
        assert verdicts(found).count(EXISTS) == 15
        assert verdicts(found).count(Verdict.EXISTS_DIFFERENT) == 16
        assert await posted(journals[0], "payee") == 10


async def test_what_is_told_is_stored_in_a_row_without_gaps(new_database: Database) -> None:
    async with journals_on(new_database, 3) as journals:
        await open_funded(journals[0], payer=40, payee=0)
        asked = [request(*pair, 1) for pair in [("payer", "payee"), ("payee", "payer")] * 60]
        found = await asyncio.gather(*(journals[n % 3].post(each) for n, each in enumerate(asked)))
        journal = await whole_journal(journals[0])
        assert [each.position for each in journal] == list(range(1, len(journal) + 1))
        by_id = {each.id: each for each in journal}
        for wanted, outcome in zip(asked, found, strict=True):
            told = by_id.get(wanted.id)
            assert outcome.transfer == told
            assert (outcome.verdict is CREATED) == (told is not None)
        assert journal[0].hash == chain_hash(GENESIS.hash, journal[0])
        assert all(b.hash == chain_hash(a.hash, b) for a, b in pairwise(journal))
        assert all(a.created_at <= b.created_at for a, b in pairwise(journal))
        assert (await journals[1].book.head()).position == len(journal)


async def test_batches_by_copy_and_by_insert_write_the_same(journal: Journal) -> None:
    await open_funded(journal, payer=10_000, payee=0)
    sizes = (1, 63, 64, 65, 200)
    for size in sizes:
        outcomes = await journal.post_all([request("payer", "payee", 1) for _ in range(size)])
        assert verdicts(outcomes) == [CREATED] * size
        ids = [outcome.transfer.id for outcome in outcomes if outcome.transfer]
        stored = await journal.book.transfers(ids)
        assert [stored[each] for each in ids] == [outcome.transfer for outcome in outcomes]
    assert await posted(journal, "payee") == sum(sizes)


async def test_a_book_that_is_written_always_adds_up(new_database: Database) -> None:
    """Readers meet no state in the middle of a batch, nor of a transfer."""
    async with journals_on(new_database, 2) as (writer, reader):
        await open_funded(writer, a=300, b=300, c=300)
        writing = True
        reads = 0

        async def write() -> None:
            nonlocal writing
            names = "abc"
            for n in range(30):
                pairs = [(names[(n + k) % 3], names[(n + k + 1) % 3]) for k in range(8)]
                await writer.post_all([request(*pair, 1 + k) for k, pair in enumerate(pairs)])
            writing = False

        async def read() -> None:
            nonlocal reads
            ids = [each.id for each in await reader.book.accounts_after(None, 10)]
            while writing:
                accounts = await reader.book.accounts(ids)
                assert sum(each.posted for each in accounts.values()) == 0
                async with reader.book.snapshot() as moment:
                    head = await moment.head()
                    written = await moment.transfers_after(0, 100_000)
                    legs = sum(each.sequence for each in await moment.accounts_after(None, 10))
                    assert len(written) == head.position
                    assert legs == 2 * head.position
                reads += 1

        await asyncio.gather(write(), read())
        assert reads > 0


async def test_a_snapshot_stays_where_it_was(journal: Journal) -> None:
    await open_funded(journal, payer=10, payee=0)
    async with journal.book.snapshot() as moment:
        before = await moment.head(), await moment.accounts_after(None, 9)
        await journal.post(request("payer", "payee", 3))
        assert (await moment.head(), await moment.accounts_after(None, 9)) == before
        assert await moment.transfers_after(before[0].position, 9) == []
    assert (await journal.book.head()).position == before[0].position + 1


_OTHER_PROCESS = """
import asyncio, sys
from guilder.ledger.journal import Journal
from guilder.storage import open_storage
from tests.support.books import request

async def main():
    storage = await open_storage(sys.argv[1])
    journal = Journal(storage.ledger())
    await journal.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    asked = [request("payer", "payee", 1) for _ in range(40)]
    found = await asyncio.gather(*map(journal.post, asked))
    await journal.stop()
    await storage.close()
    print(sum(outcome.verdict == "created" for outcome in found), flush=True)

asyncio.run(main())
"""


async def test_processes_spend_one_balance_to_its_last_unit(new_database: Database) -> None:
    root = Path(__file__).parents[3]
    async with journals_on(new_database, 1) as (journal,):
        await open_funded(journal, payer=100, payee=0)
        processes = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _OTHER_PROCESS, new_database.url),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=root,
            )
            for _ in range(3)
        ]
        try:
            for process in processes:
                assert process.stdout is not None
                assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
            answers = await asyncio.wait_for(
                asyncio.gather(*(process.communicate(b"go\n") for process in processes)), 60
            )
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
        assert sum(int(out) for out, _ in answers) == 100
        assert [await posted(journal, name) for name in ("payer", "payee")] == [0, 100]
        assert (await verify(journal.book)).ok
