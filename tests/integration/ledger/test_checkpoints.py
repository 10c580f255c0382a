"""A checkpoint that is kept elsewhere finds every book that was written again; a stored one too."""

import random
from uuid import UUID

import pytest
from msgspec.json import encode
from msgspec.structs import replace

from guilder.kernel.clock import utc_now
from guilder.ledger import merkle
from guilder.ledger.checkpoints import (
    Checkpoint,
    CheckpointKey,
    Statement,
    check_all,
    is_signed,
    last_checkpoint,
    read_statement,
    segment,
    sign_next,
    verify_since,
)
from guilder.ledger.errors import CheckpointUnreadable
from guilder.ledger.proofs import leaf_of
from guilder.ledger.verify import Report, verify
from guilder.storage.base import Collection, LedgerStorage, Storage
from guilder.storage.errors import DuplicateDocument
from tests.support.books import MemoryBook
from tests.support.random_books import random_requests, tampered, write_book

KEY = CheckpointKey(b"a secret that is kept for as long as the books")
OTHER_KEY = CheckpointKey(b"another secret of thirty-two bytes or more")
TAMPERS = 200


async def signed(book: LedgerStorage, *, key: CheckpointKey = KEY) -> Statement:
    """Return a checkpoint of the whole book."""
    head = await book.head()
    transfers = await segment(book, after=0, position=head.position)
    root = merkle.root([leaf_of(each, key.blinding) for each in transfers])
    return key.sign(after=0, position=head.position, chain=head.hash, root=root, now=utc_now())


async def test_every_history_written_again_is_found_from_outside() -> None:
    dice = random.Random(31)
    book = MemoryBook()
    requests = await write_book(book, random_requests(dice, 30))
    kept = await signed(book)
    same = MemoryBook()
    await write_book(same, requests)
    assert (await verify_since(same, KEY, kept)).ok, "the same history is another book"
    found = 0
    for _ in range(TAMPERS):
        rewritten = MemoryBook()
        await write_book(rewritten, tampered(dice, requests))
        assert (await verify(rewritten)).ok, "only a hash kept elsewhere can tell"
        found += not (await verify_since(rewritten, KEY, kept)).ok
    assert found == TAMPERS


async def test_what_follows_a_checkpoint_is_verified() -> None:
    book = MemoryBook()
    dice = random.Random(5)
    await write_book(book, random_requests(dice, 20))
    kept = await signed(book)
    await write_book(book, [replace(each, id=_next_id(dice)) for each in random_requests(dice, 20)])
    report = await verify_since(book, KEY, kept)
    assert (report.ok, report.transfers) == (True, book.end.position - kept.position)
    assert (report.position, report.hash) == (book.end.position, book.end.hash)
    last = book.journal[-1]
    book.journal[-1] = replace(last, amount_minor=last.amount_minor + 1)
    difference = (await verify_since(book, KEY, kept)).difference
    assert difference is not None
    assert difference.position == last.position


def _next_id(dice: random.Random) -> UUID:
    return UUID(int=dice.getrandbits(128))


async def test_a_journal_that_is_cut_off_is_found() -> None:
    book = MemoryBook()
    requests = await write_book(book, random_requests(random.Random(1), 10))
    kept = await signed(book)
    shorter = MemoryBook()
    await write_book(shorter, requests[:-1])
    difference = (await verify_since(shorter, KEY, kept)).difference
    assert difference is not None
    assert "ends before" in difference.what


async def test_only_our_key_signs() -> None:
    book = MemoryBook()
    await write_book(book, random_requests(random.Random(2), 5))
    kept = await signed(book)
    assert is_signed(kept, KEY.public)
    assert not is_signed(kept, OTHER_KEY.public)
    forged = replace(await signed(book, key=OTHER_KEY), key_id=KEY.id)
    for statement in (
        forged,
        await signed(book, key=OTHER_KEY),
        replace(kept, after=1),
        replace(kept, position=kept.position - 1),
        replace(kept, chain="00" * 32),
        replace(kept, root="00" * 32),
        replace(kept, time="2026-01-01T00:00:00.000Z"),
        replace(kept, signature="00" * 64),
        replace(kept, signature="no digits"),
    ):
        assert not KEY.is_mine(statement)
        assert not (await verify_since(book, KEY, statement)).ok


def test_a_checkpoint_is_read_as_it_was_given_out() -> None:
    statement = KEY.sign(after=0, position=1, chain=bytes(32), root=bytes(32), now=utc_now())
    assert read_statement(encode(statement)) == statement
    for text in ("", "{}", "[]", "\x00", encode(statement)[:-1], b"\xff"):
        with pytest.raises(CheckpointUnreadable):
            read_statement(text)


async def test_the_seal_does_not_tell_the_chain() -> None:
    book = MemoryBook()
    await write_book(book, random_requests(random.Random(3), 5))
    assert book.end.hash.hex() not in encode(await signed(book)).decode()
    assert (await signed(book)).chain != (await signed(book, key=OTHER_KEY)).chain


@pytest.fixture
async def stored(storage: Storage) -> tuple[Collection[Checkpoint], LedgerStorage]:
    """A random book with two signed checkpoints."""
    await storage.migrate([Checkpoint])
    checkpoints, book = storage.documents(Checkpoint), storage.ledger()
    await write_book(book, random_requests(random.Random(4), 30))
    end = (await book.head()).position
    for verified in (end - 5, end):
        assert await sign_next(checkpoints, book, KEY, verified=verified, now=utc_now())
    return checkpoints, book


async def _checked(checkpoints: Collection[Checkpoint], book: LedgerStorage) -> Report:
    report = await verify(book)
    assert report.ok, report.difference
    await check_all(checkpoints, book, KEY, report)
    return report


async def test_stored_checkpoints_are_compared(
    stored: tuple[Collection[Checkpoint], LedgerStorage],
) -> None:
    checkpoints, book = stored
    assert (await _checked(checkpoints, book)).checkpoints == 2
    end = (await book.head()).position
    assert await sign_next(checkpoints, book, KEY, verified=end, now=utc_now()) is None


async def test_of_two_that_sign_at_once_one_is_stored(
    stored: tuple[Collection[Checkpoint], LedgerStorage],
) -> None:
    checkpoints, _ = stored
    last = await last_checkpoint(checkpoints)
    assert last is not None
    with pytest.raises(DuplicateDocument):
        await checkpoints.insert(replace(last, version=1))


@pytest.mark.parametrize("planted", ["gone", "forged", "another history", "renamed"])
async def test_a_stored_checkpoint_that_does_not_fit_is_found(
    stored: tuple[Collection[Checkpoint], LedgerStorage], planted: str
) -> None:
    checkpoints, book = stored
    first, last = await checkpoints.page({}, limit=2)
    if planted == "gone":
        await checkpoints.delete(first.id)
    elif planted == "forged":
        said = replace(last.statement, root="00" * 32)
        await checkpoints.replace(replace(last, statement=said))
    elif planted == "renamed":
        await checkpoints.delete(first.id)
        await checkpoints.insert(replace(first, id="checkpoint_0"))
    else:
        said = KEY.sign(
            after=last.statement.after,
            position=last.statement.position,
            chain=bytes(32),
            root=bytes(32),
            now=utc_now(),
        )
        await checkpoints.replace(replace(last, statement=said))
    assert (await _checked(checkpoints, book)).difference is not None


async def test_checkpoints_of_a_forgotten_key_are_left_out(
    stored: tuple[Collection[Checkpoint], LedgerStorage],
) -> None:
    checkpoints, book = stored
    report = await verify(book)
    await check_all(checkpoints, book, OTHER_KEY, report)
    assert (report.ok, report.checkpoints) == (True, 0)
