"""Accounts are opened once, whoever opens them how often, and are ready at once."""

import asyncio
from datetime import timedelta

from msgspec.structs import replace

from guilder.ledger.chart import AccountCode, system_account
from guilder.ledger.journal import Journal
from guilder.ledger.models import Verdict
from tests.support.books import NOON, account, account_id, request
from tests.support.databases import Database
from tests.support.postgres_books import created, journals_on, open_funded, posted, state


async def test_an_account_is_stored_as_given(journal: Journal) -> None:
    made = [
        account("payer", asset="EUR", code="special", owner="o"),
        account("mint"),
        system_account(AccountCode.PAYOUTS_IN_TRANSIT, owner="g", asset="USD", now=NOON),
    ]
    await journal.open_accounts(made)
    assert await journal.book.accounts([each.id for each in made]) == {e.id: e for e in made}


async def test_opening_again_changes_nothing(journal: Journal) -> None:
    await open_funded(journal, payer=10)
    before = await state(journal, "payer")
    later = account("payer", created_at=NOON + timedelta(days=1), owner="x", no_overdraft=False)
    await journal.open_accounts([later, later])
    assert await state(journal, "payer") == before


async def test_nothing_to_open(journal: Journal) -> None:
    await journal.open_accounts([])


async def test_everybody_opens_the_same_accounts_at_once(new_database: Database) -> None:
    names = [f"p{number}" for number in range(12)]
    async with journals_on(new_database, 3) as journals:
        orders = [names, names[::-1], names[6:] + names[:6]]
        await asyncio.gather(
            *(
                journal.open_accounts([account(name) for name in order])
                for journal in journals
                for order in orders
            )
        )
        found = await journals[0].book.accounts([account_id(name) for name in names])
    assert found == {account_id(name): account(name) for name in names}


async def test_the_first_spend_of_a_new_account_64_ways(new_database: Database) -> None:
    """Open, fund and spend race: one opening, each id once, and nothing is spent twice."""
    funding = request("mint", "fresh", 20)

    async def first_spend(journal: Journal, number: int) -> Verdict:
        await journal.open_accounts([account("mint"), account("fresh"), account("payee")])
        await journal.post(funding)
        return (await journal.post(request("fresh", "payee", 1))).verdict

    async with journals_on(new_database, 4) as journals:
        found = await asyncio.gather(*(first_spend(journals[n % 4], n) for n in range(64)))
        assert found.count(Verdict.CREATED) == 20
        assert found.count(Verdict.INSUFFICIENT_FUNDS) == 44
        assert [await posted(journals[0], name) for name in ("fresh", "payee")] == [0, 20]


async def test_an_account_is_unknown_until_it_is_open(journal: Journal) -> None:
    await journal.open_accounts([account("mint")])
    asked = request("mint", "later")
    assert (await journal.post(asked)).verdict is Verdict.ACCOUNT_NOT_FOUND
    await journal.open_accounts([account("later")])
    created([await journal.post(asked)])


async def test_accounts_are_found_by_owner_and_in_pages(journal: Journal) -> None:
    mine = [account(f"mine-{asset}", owner="me", asset=asset) for asset in ("USD", "EUR", "INR")]
    await journal.open_accounts([*mine, account("other")])
    assert {each.asset for each in await journal.book.accounts_of("me")} == {"USD", "EUR", "INR"}
    assert await journal.book.accounts_of("nobody") == []
    everyone = sorted([*mine, account("other")], key=lambda each: each.id)
    first = await journal.book.accounts_after(None, 3)
    rest = await journal.book.accounts_after(first[-1].id, 3)
    assert first + rest == everyone
    assert await journal.book.accounts_after(everyone[-1].id, 3) == []


async def test_the_largest_amounts_are_kept_exactly(journal: Journal) -> None:
    most = 2**63 - 1
    await open_funded(journal, payer=most, payee=0)
    assert (await journal.post(request("mint", "payer", 1))).verdict is Verdict.OVERFLOW
    created([await journal.post(request("payer", "payee", most))])
    assert [await posted(journal, name) for name in ("mint", "payer", "payee")] == [-most, 0, most]
    stored = await state(journal, "payee")
    assert stored == replace(account("payee"), posted=most, sequence=1)
