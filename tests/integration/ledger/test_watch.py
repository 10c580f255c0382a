"""The audit in the background finds what the whole audit finds in what is new, and stays small.

Planted: every field of a transfer changed; transfers deleted, swapped, cut off; the head moved;
every balance changed, of accounts that move and of accounts that rest; and, with a chain that fits,
what a faulty writer would write: legs that the amount does not explain, money out of nothing, a
capture or release beyond what is held, a forgotten balance, an overdraft.

Not found here but by `guilder verify`: a hold or counter that is stored wrong, and what was changed
before the place where the watch began.
"""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from guilder.ledger import watch as watch_module
from guilder.ledger.chain import chain_hash
from guilder.ledger.journal import Journal
from guilder.ledger.watch import Watch
from guilder.storage.records import GENESIS, Head, Leg, Transfer, TransferKind
from tests.support.books import MemoryBook, account, account_id, request, transfer_id
from tests.support.databases import Database
from tests.support.postgres_books import created, open_funded, owner_of
from tests.support.random_books import random_requests, write_book

HOLD, CAPTURE, PARTIAL, RELEASE = list(TransferKind)[1:]


async def follow(watch: Watch) -> Watch:
    while await watch.step():
        pass
    return watch


def told(watch: Watch) -> str | None:
    """Return what it has found by now."""
    return None if watch.difference is None else watch.difference.what


async def random_book(seed: int = 1, count: int = 30) -> MemoryBook:
    book = MemoryBook()
    await write_book(book, random_requests(random.Random(seed), count))
    return book


@pytest.fixture(params=[1, 7, 200], ids="page-{}".format)
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(watch_module, "PAGE", request.param)
    return int(request.param)


@pytest.mark.parametrize("remembered", [0, 2, 100])
async def test_a_right_book_is_followed_to_its_end(
    page: int, remembered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "LEGS_REMEMBERED", remembered)
    for seed in range(3):
        book = await random_book(seed, 60)
        watch = await follow(Watch(book))
        assert watch.difference is None
        assert (watch.position, watch.hash, watch.lag) == (book.end.position, book.end.hash, 0)
        assert watch.transfers == book.end.position
        assert len(watch._known) <= remembered


async def test_it_begins_where_it_is_told() -> None:
    book = await random_book()
    start = book.journal[9]
    watch = await follow(Watch(book, position=start.position, hash_=start.hash))
    assert (watch.difference, watch.transfers) == (None, book.end.position - 10)


def _rewrite(book: MemoryBook) -> None:
    """Make the chain and the head fit the journal."""
    hash_ = GENESIS.hash
    for index, each in enumerate(book.journal):
        hash_ = chain_hash(hash_, each)
        book.journal[index] = replace(each, hash=hash_)
    book.end = Head(len(book.journal), hash_, book.end.revision)


FIELDS: dict[str, Callable[[Transfer], Any]] = {
    "position": lambda t: t.position + 1,
    "id": lambda t: transfer_id("another"),
    "kind": lambda t: HOLD if t.kind is TransferKind.POST else TransferKind.POST,
    "debit_account_id": lambda t: account_id("another"),
    "credit_account_id": lambda t: account_id("another"),
    "amount_minor": lambda t: t.amount_minor + 1,
    "asset": lambda t: "EUR",
    "code": lambda t: "another",
    "group_id": lambda t: transfer_id("another"),
    "hold_id": lambda t: transfer_id("another"),
    "expires_at": lambda t: t.created_at,
    "effective_at": lambda t: t.effective_at + timedelta(days=1),
    "created_at": lambda t: t.created_at + timedelta(days=1),
    "reference": lambda t: "another",
    "metadata": lambda t: {"another": "one"},
    "fingerprint": lambda t: bytes(32),
    "debit": lambda t: replace(t.debit, posted=t.debit.posted + 1),
    "credit": lambda t: replace(t.credit, pending_in=t.credit.pending_in + 1),
    "hash": lambda t: bytes(32),
    "reverses_id": lambda t: transfer_id("another"),
    "counted": lambda t: (),
}


@pytest.mark.parametrize("field", FIELDS)
async def test_every_changed_field_is_found_at_its_place(field: str, page: int) -> None:
    book = await random_book()
    indexes = [i for i, each in enumerate(book.journal) if each.counted or field != "counted"]
    for index in (indexes[0], indexes[-1]):
        right = book.journal[index]
        book.journal[index] = replace(right, **{field: FIELDS[field](right)})
        difference = (await follow(Watch(book))).difference
        assert difference is not None
        assert difference.position == index + 1
        book.journal[index] = right


@pytest.mark.parametrize("planted", ["deleted", "swapped", "cut off", "head back", "head hash"])
async def test_a_journal_that_is_not_whole_is_found(planted: str, page: int) -> None:
    book = await random_book()
    journal = book.journal
    if planted == "deleted":
        del journal[5]
    elif planted == "swapped":
        journal[5], journal[6] = journal[6], journal[5]
    elif planted == "cut off":
        del journal[-1]
    elif planted == "head back":
        book.end = replace(book.end, position=len(journal) - 1, hash=journal[-2].hash)
    else:
        book.end = replace(book.end, hash=bytes(32))
    assert (await follow(Watch(book))).difference is not None


async def test_a_journal_that_is_cut_off_behind_it_is_found(page: int) -> None:
    book = await random_book()
    watch = await follow(Watch(book))
    del book.journal[-1]
    book.end = replace(book.end, position=len(book.journal), hash=book.journal[-1].hash)
    await watch.step()
    assert watch.difference is not None


LEG_FIELDS = ("sequence", "posted", "pending_in", "pending_out")


@pytest.mark.parametrize("field", [*LEG_FIELDS, "asset", "overdrawn", "deleted"])
async def test_a_stored_balance_that_is_not_the_journals_is_found(field: str, page: int) -> None:
    book = await random_book()
    payer = account_id("payer")
    if field == "deleted":
        del book.account_by_id[payer]
    elif field == "overdrawn":
        mint = account_id("mint")
        book.account_by_id[mint] = replace(book.account_by_id[mint], no_overdraft=True)
    else:
        stored = book.account_by_id[payer]
        value = "EUR" if field == "asset" else getattr(stored, field) + 1
        book.account_by_id[payer] = replace(stored, **{field: value})
    assert (await follow(Watch(book))).difference is not None


@pytest.mark.parametrize("swept", [1, 3, 100])
async def test_a_balance_that_rests_is_found_in_turn(
    swept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "SWEPT", swept)
    book = await random_book()
    await book.open_accounts([account("empty")])
    watch = await follow(Watch(book))
    for _ in range(12):
        await watch.step()
    assert told(watch) is None
    for name in ("payer", "empty", "mint"):
        right = book.account_by_id[account_id(name)]
        book.account_by_id[right.id] = replace(right, posted=right.posted + 1)
        for _ in range(12):
            await watch.step()
        assert str(right.id) in (told(watch) or "")
        watch.difference = None
        book.account_by_id[right.id] = right


async def _small_book() -> MemoryBook:
    """Write a book whose last transfer is to be replaced."""
    book = MemoryBook()
    hold = request("payer", "payee", 20, kind=HOLD, id=transfer_id("hold"))
    await write_book(book, [request("mint", "payer", 100), hold, request("payer", "payee", 5)])
    return book


FAULTS: dict[str, dict[str, Any]] = {
    "a position is left out": {"position": 4},
    "the amount is not moved": {"amount_minor": 6},
    "money out of nothing": {"credit": Leg(2, 50, 20, 0)},
    "money is lost": {"debit": Leg(3, 90, 0, 20)},
    "a sequence is left out": {"debit": Leg(4, 95, 0, 20)},
    "the balance is forgotten": {"debit": Leg(1, -5, 0, 0)},
    "a hold that reserves nothing": {"kind": HOLD, "debit": Leg(3, 100, 0, 20)},
    "a capture that does not release": {
        "kind": CAPTURE,
        "debit": Leg(3, 95, 0, 20),
        "credit": Leg(2, 5, 20, 0),
    },
    "a capture beyond the hold": {
        "kind": CAPTURE,
        "amount_minor": 25,
        "debit": Leg(3, 75, 0, 0),
        "credit": Leg(2, 25, 0, 0),
    },
    "a partial capture beyond what is held": {
        "kind": PARTIAL,
        "amount_minor": 25,
        "debit": Leg(3, 75, 0, -5),
        "credit": Leg(2, 25, -5, 0),
    },
    "a release beyond what is held": {
        "kind": RELEASE,
        "amount_minor": 25,
        "debit": Leg(3, 100, 0, -5),
        "credit": Leg(2, 0, -5, 0),
    },
    "sides that disagree about a release": {
        "kind": CAPTURE,
        "debit": Leg(3, 95, 0, 5),
        "credit": Leg(2, 5, 0, 0),
    },
    "nothing is moved": {
        "amount_minor": 0,
        "debit": Leg(3, 100, 0, 20),
        "credit": Leg(2, 0, 20, 0),
    },
    "an overdraft": {
        "amount_minor": 90,
        "debit": Leg(3, 10, 0, 20),
        "credit": Leg(2, 90, 20, 0),
    },
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_faulty_writer_is_found_although_the_chain_fits(fault: str) -> None:
    book = await _small_book()
    assert (await follow(Watch(book))).difference is None
    book.journal[-1] = last = replace(book.journal[-1], **FAULTS[fault])
    _rewrite(book)
    for name, leg in (("payer", last.debit), ("payee", last.credit)):
        stored = book.account_by_id[account_id(name)]
        values = {field: getattr(leg, field) for field in LEG_FIELDS}
        book.account_by_id[stored.id] = replace(stored, **values)
    assert (await follow(Watch(book))).difference is not None


async def test_two_assets_in_one_transfer_are_found() -> None:
    book = await _small_book()
    book.journal[-1] = replace(book.journal[-1], asset="EUR")
    _rewrite(book)
    difference = (await follow(Watch(book))).difference
    assert difference is not None
    assert "another asset" in difference.what


async def test_the_first_difference_stays() -> None:
    book = await random_book()
    right = book.journal[5]
    book.journal[5] = replace(right, amount_minor=right.amount_minor + 1)
    watch = await follow(Watch(book))
    first = watch.difference
    book.journal[5] = right
    assert not await watch.step()
    assert watch.difference == first is not None
    assert watch.position == 5


async def test_a_book_that_grows_is_followed_without_a_false_alarm(journal: Journal) -> None:
    await open_funded(journal, payer=1_000, payee=1_000)
    watch = Watch(journal.book)
    for _ in range(5):
        created(await journal.post_all([request("payer", "payee", 1) for _ in range(150)]))
        created(await journal.post_all([request("payee", "payer", 1) for _ in range(150)]))
        await watch.step()
    await follow(watch)
    await watch.step()
    assert (watch.difference, watch.position) == (None, (await journal.book.head()).position)


async def test_a_balance_that_is_changed_in_the_database_is_found(
    own_journal: Journal, database: Database
) -> None:
    await open_funded(own_journal, payer=1_000, payee=0)
    watch = await follow(Watch(own_journal.book))
    await watch.step()
    assert told(watch) is None
    async with owner_of(database) as owner:
        await owner.execute("UPDATE book_main.balances SET posted = posted + 1 WHERE posted > 0")
    await watch.step()
    assert str(account_id("payer")) in (told(watch) or "")
