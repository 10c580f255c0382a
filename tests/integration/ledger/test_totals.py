"""Sums by code and owner, at every place in the journal, against the journal added up by hand."""

import random
from collections import defaultdict
from datetime import timedelta

import pytest

from guilder.ledger.journal import Journal
from guilder.ledger.models import AMOUNT_MAX
from guilder.ledger.totals import TotalsAt, totals_at
from guilder.storage.base import LedgerStorage
from guilder.storage.records import Leg, TotalBy, Transfer
from tests.support.books import account, request
from tests.support.random_books import random_requests, write_book

Sums = dict[tuple[str, str], tuple[int, int, int, int]]


async def by_hand(book: LedgerStorage, by: TotalBy, position: int) -> Sums:
    """Add up the newest legs of the journal's first lines."""
    lines: list[Transfer] = await book.transfers_after(0, 10_000)
    legs: dict[object, Leg] = {}
    for line in lines[:position]:
        legs |= {line.debit_account_id: line.debit, line.credit_account_id: line.credit}
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for each in await book.accounts_after(None, 1_000):
        leg = legs.get(each.id)
        if leg is not None:
            parts = (1, leg.posted, leg.pending_in, leg.pending_out)
            key = (each.asset, getattr(each, by.value))
            sums[key] = [old + new for old, new in zip(sums[key], parts, strict=True)]
    return {key: (a, b, c, d) for key, (a, b, c, d) in sorted(sums.items())}


def told(found: TotalsAt) -> Sums:
    """Return what was found, in its order."""
    return {
        (each.asset, each.name): (each.accounts, each.posted, each.pending_in, each.pending_out)
        for each in found.totals
    }


@pytest.mark.parametrize("by", TotalBy)
async def test_every_position_is_exact(journal: Journal, by: TotalBy) -> None:
    book = journal.book
    await book.open_accounts([account("never used", owner="a"), account("mint", owner="platform")])
    await write_book(book, random_requests(random.Random(7), 40))
    end = (await book.head()).position
    assert end > 20
    for position in range(end + 1):
        found = await totals_at(book, by=by, at=position)
        assert found.position == position
        expected = await by_hand(book, by, position)
        assert told(found) == expected
        assert list(told(found)) == list(expected), "in order"
        assert sum(each.posted for each in found.totals) == 0
    now = await totals_at(book, by=by)
    assert (now.position, told(now)) == (end, await by_hand(book, by, end))
    assert await totals_at(book, by=by, at=end + 5) == now


async def test_a_time_is_the_last_line_recorded_by_then(journal: Journal) -> None:
    await journal.open_accounts([account("mint"), account("a")])
    for _ in range(3):
        await journal.post(request("mint", "a", 1))
    first, _, third = await journal.book.transfers_after(0, 3)
    early = await totals_at(
        journal.book, by=TotalBy.CODE, at=first.created_at - timedelta(milliseconds=1)
    )
    assert (early.position, early.totals) == (0, [])
    late = await totals_at(journal.book, by=TotalBy.CODE, at=third.created_at + timedelta(days=1))
    assert (late.position, len(late.totals)) == (3, 1)


async def test_sums_beyond_int64_are_exact(journal: Journal) -> None:
    names = [f"rich {n}" for n in range(3)]
    mints = [f"mint {n}" for n in range(3)]
    await journal.open_accounts([account(name, code="wallet") for name in names])
    await journal.open_accounts([account(name, code="mint") for name in mints])
    for mint, name in zip(mints, names, strict=True):
        await journal.post(request(mint, name, AMOUNT_MAX))
    found = {
        each.name: each.posted for each in (await totals_at(journal.book, by=TotalBy.CODE)).totals
    }
    assert found == {"mint": -3 * AMOUNT_MAX, "wallet": 3 * AMOUNT_MAX}


async def test_the_same_on_an_earlier_place(journal: Journal) -> None:
    """What was is not changed by what comes, nor by what is dated back."""
    await journal.open_accounts([account("mint"), account("a")])
    await journal.post(request("mint", "a", 10))
    before = await totals_at(journal.book, by=TotalBy.OWNER, at=1)
    (line,) = await journal.book.transfers_after(0, 1)
    long_ago = line.created_at - timedelta(days=30)
    sale = request("mint", "a", 5, effective_at=long_ago)
    await journal.post(sale)
    await journal.post(request("a", "mint", 5, reverses_id=sale.id, effective_at=long_ago))
    assert await totals_at(journal.book, by=TotalBy.OWNER, at=1) == before
    assert await totals_at(journal.book, by=TotalBy.OWNER, at=line.created_at) == before
    now = await totals_at(journal.book, by=TotalBy.OWNER)
    assert told(now) == told(before)
