"""Limits, reversals and flags on the real database: nothing over, nothing under, whoever races."""

import asyncio

import asyncpg
import pytest

from guilder.ledger.errors import AccountClosed, AccountNotEmpty, AccountNotFound
from guilder.ledger.journal import Journal
from guilder.ledger.limits import Limit, Window
from guilder.ledger.models import Verdict
from guilder.ledger.verify import verify
from guilder.storage.records import TransferKind
from tests.support.books import account_id, request, transfer_id
from tests.support.databases import Database
from tests.support.postgres_books import journals_on, open_funded, posted

CREATED = Verdict.CREATED
DAILY = Limit(name="daily", subject="payer", maximum=30, window=Window.EVER)


async def test_64_at_once_use_a_limit_to_its_last_unit(new_database: Database) -> None:
    async with journals_on(new_database, 4) as journals:
        await open_funded(journals[0], payer=1_000, payee=0)
        asked = [request("payer", "payee", 1, limits=(DAILY,)) for _ in range(64)]
        found = await asyncio.gather(*(journals[n % 4].post(each) for n, each in enumerate(asked)))
        verdicts = [outcome.verdict for outcome in found]
        assert verdicts.count(CREATED) == 30
        assert verdicts.count(Verdict.LIMIT_EXCEEDED) == 34
        assert await posted(journals[0], "payee") == 30
        assert (await verify(journals[0].book)).ok


async def test_64_at_once_take_back_no_more_than_was_moved(new_database: Database) -> None:
    async with journals_on(new_database, 4) as journals:
        await open_funded(journals[0], payer=100, payee=1_000)
        sale = request("payer", "payee", 50, id=transfer_id("sale"))
        await journals[0].post(sale)
        asked = [request("payee", "payer", 3, reverses_id=sale.id) for _ in range(64)]
        found = await asyncio.gather(*(journals[n % 4].post(each) for n, each in enumerate(asked)))
        verdicts = [outcome.verdict for outcome in found]
        assert verdicts.count(CREATED) == 16
        assert verdicts.count(Verdict.REVERSAL_EXCEEDS_ORIGINAL) == 48
        assert await posted(journals[0], "payer") == 98
        assert (await verify(journals[0].book)).ok


async def test_a_stored_transfer_says_what_it_counted_and_reverses(journal: Journal) -> None:
    await open_funded(journal, payer=100, payee=100)
    sale = request("payer", "payee", 20, limits=(DAILY,))
    back = request("payee", "payer", 5, reverses_id=sale.id)
    outcomes = await journal.post_all([sale, back])
    stored = await journal.book.transfers([sale.id, back.id])
    assert [stored[sale.id], stored[back.id]] == [outcome.transfer for outcome in outcomes]
    assert [each.added for each in stored[sale.id].counted] == [20]
    assert stored[back.id].reverses_id == sale.id


async def test_a_frozen_account_lets_nothing_out_whoever_remembers_it(
    new_database: Database,
) -> None:
    async with journals_on(new_database, 2) as (first, second):
        await open_funded(first, payer=100, payee=0)
        assert (await second.post(request("payer", "payee", 1))).verdict is CREATED
        frozen = await first.freeze(account_id("payer"), is_frozen=True)
        assert frozen.is_frozen
        assert (await first.freeze(account_id("payer"), is_frozen=True)) == frozen
        refused = await second.post(request("payer", "payee", 1))
        assert refused.verdict is Verdict.ACCOUNT_FROZEN
        assert (await second.post(request("mint", "payer", 1))).verdict is CREATED
        await first.freeze(account_id("payer"), is_frozen=False)
        assert (await second.post(request("payer", "payee", 1))).verdict is CREATED


async def test_an_empty_account_closes_for_good(journal: Journal) -> None:
    await open_funded(journal, payer=100, payee=0)
    with pytest.raises(AccountNotEmpty):
        await journal.close(account_id("payer"))
    hold = request("mint", "payee", 1, kind=TransferKind.HOLD)
    await journal.post(hold)
    with pytest.raises(AccountNotEmpty):
        await journal.close(account_id("payee"))
    release = request("mint", "payee", 0, kind=TransferKind.RELEASE, hold_id=hold.id)
    await journal.post(release)
    assert (await journal.close(account_id("payee"))).is_closed
    assert (await journal.close(account_id("payee"))).is_closed
    assert (await journal.post(request("mint", "payee", 1))).verdict is Verdict.ACCOUNT_CLOSED
    with pytest.raises(AccountClosed):
        await journal.freeze(account_id("payee"), is_frozen=True)
    with pytest.raises(AccountNotFound):
        await journal.close(account_id("nobody"))


async def test_the_trial_balance_adds_up(journal: Journal) -> None:
    await open_funded(journal, payer=100, payee=20)
    await journal.post(request("payer", "payee", 7, kind=TransferKind.HOLD))
    totals = await journal.book.totals()
    assert sum(each.posted for each in totals) == 0
    assert sum(each.pending_in for each in totals) == 7
    assert sum(each.pending_out for each in totals) == 7


@pytest.mark.parametrize(
    ("sql", "position", "what"),
    [
        ("UPDATE book_main.counters SET used = used - 1", 4, "counter"),
        ("DELETE FROM book_main.counters", 4, "counter"),
        ("INSERT INTO book_main.counters VALUES (gen_random_uuid(), 1)", 4, "counter"),
    ],
)
async def test_a_tampered_counter_is_found(
    database: Database, sql: str, position: int, what: str
) -> None:
    async with journals_on(database, 1) as (journal,):
        await open_funded(journal, payer=100, payee=100)
        sale = request("payer", "payee", 20, limits=(DAILY,))
        await journal.post_all([sale, request("payee", "payer", 5, reverses_id=sale.id)])
        assert (await verify(journal.book)).ok
        owner = await asyncpg.connect(database.owner_url)
        await owner.execute(sql)
        await owner.close()
        difference = (await verify(journal.book)).difference
        assert difference is not None
        assert (difference.position, difference.what.split()[0]) == (position, what)
