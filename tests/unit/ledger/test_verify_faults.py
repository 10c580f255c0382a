"""The audit finds what a faulty writer would have written, chain and all.

Planted: an amount that the balances do not follow, a credit larger than its debit, a transfer
between two assets, a capture of more than is held or of another's hold, a release of another
amount, a reversal of nothing and of too much, an overdraft.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from guilder.ledger.chain import chain_hash
from guilder.ledger.verify import verify
from tests.support.audits import LAST, found, write_a_book
from tests.support.books import MemoryBook, account_id, transfer_id
from tests.support.postgres_books import journal_on


@pytest.fixture
async def book() -> MemoryBook:
    book = MemoryBook()
    async with journal_on(book) as journal:
        await write_a_book(journal)
    assert (await verify(book)).ok
    return book


async def test_a_rewritten_chain_is_held_against_the_balances(book: MemoryBook) -> None:
    rewrite(book, 3, amount_minor=29)
    found(await verify(book), 3, "the debit account should be at")


async def test_a_credit_larger_than_its_debit(book: MemoryBook) -> None:
    credit = book.journal[-1].credit
    rewrite(book, LAST, credit=replace(credit, posted=credit.posted + 1))
    found(await verify(book), LAST, "the credit account should be at")


async def test_a_transfer_between_assets(book: MemoryBook) -> None:
    rewrite(book, 3, credit_account_id=account_id("euro"))
    found(await verify(book), 3, "another asset")


@pytest.mark.parametrize(
    ("position", "change", "word"),
    [
        (5, {"amount_minor": 21}, "21 is captured or released where 20 is held"),
        (5, {"amount_minor": 0}, "0 is captured or released where 20 is held"),
        (8, {"amount_minor": 19}, "19 is captured or released where 20 is held"),
        (6, {"hold_id": transfer_id("none")}, "its accounts do not have"),
        (6, {"hold_id": None}, "its accounts do not have"),
        (6, {"debit_account_id": account_id("empty")}, "its accounts do not have"),
    ],
)
async def test_a_capture_that_is_not_covered(
    book: MemoryBook, position: int, change: dict[str, Any], word: str
) -> None:
    rewrite(book, position, **change)
    found(await verify(book), position, word)


async def test_a_reversal_of_nothing_and_of_too_much(book: MemoryBook) -> None:
    """Position 1 moved 500; nothing says that the last transfer takes it back."""
    rewrite(book, LAST, reverses_id=transfer_id("none"))
    found(await verify(book), LAST, "which is not in the journal before it")
    rewrite(book, LAST, reverses_id=book.journal[0].id)
    found(await verify(book), LAST, "of the 500 of")


async def test_an_overdraft(book: MemoryBook) -> None:
    mint = account_id("mint")
    book.account_by_id[mint] = replace(book.account_by_id[mint], no_overdraft=True)
    found(await verify(book), LAST, "is overdrawn by 500")


async def test_more_given_back_than_was_reserved(book: MemoryBook) -> None:
    """The same accounts have two holds; the legs are counted, not believed."""
    leg = book.journal[7].debit
    rewrite(book, 8, debit=replace(leg, pending_out=leg.pending_out - 1))
    found(await verify(book), 8, "the debit account should be at")


def rewrite(book: MemoryBook, position: int, **changes: Any) -> None:
    """Change a transfer, and make every hash from there on fit."""
    journal = book.journal
    journal[position - 1] = replace(journal[position - 1], **changes)
    previous = journal[position - 2].hash
    for index in range(position - 1, len(journal)):
        previous = chain_hash(previous, journal[index])
        journal[index] = replace(journal[index], hash=previous)
    book.end = replace(book.end, hash=previous)
