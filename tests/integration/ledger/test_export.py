"""An export is the whole book; what was changed in it, or is missing, is not imported."""

import json
import random
from collections.abc import Callable

import pytest

from guilder.ledger import export as export_module
from guilder.ledger.errors import BookNotEmpty, ExportRefused
from guilder.ledger.export import export_book, import_book
from guilder.ledger.journal import Journal
from guilder.ledger.models import Verdict
from guilder.ledger.verify import verify
from guilder.storage.base import LedgerStorage, Storage
from tests.support.books import MemoryBook, account, account_id, request
from tests.support.random_books import random_requests, write_book


async def exported(book: LedgerStorage) -> list[bytes]:
    lines: list[bytes] = []
    await export_book(book, lines.append)
    return lines


@pytest.fixture
async def lines() -> list[bytes]:
    """The export of a random book in which one account is frozen and one closed."""
    book = MemoryBook()
    await write_book(book, random_requests(random.Random(6), 60))
    await book.open_accounts([account("empty"), account("untouched")])
    journal = Journal(book)
    await journal.freeze(account_id("payer"), is_frozen=True)
    await journal.close(account_id("empty"))
    return await exported(book)


@pytest.mark.parametrize("page", [1, 7, 1_000])
async def test_a_book_comes_back_the_same(
    storage: Storage, lines: list[bytes], page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "PAGE", page)
    book = storage.ledger()
    head = await import_book(book, lines)
    report = await verify(book)
    assert report.ok, report.difference
    assert (report.position, report.hash) == (head.position, head.hash)
    assert await exported(book) == lines
    journal = Journal(book)
    await journal.start()
    outcome = await journal.post(request("mint", "third", 5))
    refused = await journal.post(request("payer", "third", 1))
    await journal.stop()
    assert outcome.verdict is Verdict.CREATED
    assert refused.verdict is Verdict.ACCOUNT_FROZEN
    assert (await verify(book)).ok


async def test_an_empty_book_can_be_exported_and_imported(storage: Storage) -> None:
    lines = await exported(MemoryBook())
    assert (await import_book(storage.ledger(), lines)).position == 0


async def test_books_are_not_mixed(lines: list[bytes]) -> None:
    for book in (MemoryBook(account("payer")), MemoryBook()):
        if not book.account_by_id:
            await import_book(book, lines)
        with pytest.raises(BookNotEmpty):
            await import_book(book, lines)


async def test_a_book_that_somebody_else_writes_into_is_left_alone(lines: list[bytes]) -> None:
    book = MemoryBook()
    first = iter(lines)

    def meddled() -> object:
        for line in first:
            yield line
            if b'"line":"account"' in line and book.end.position == 0:
                book.end = type(book.end)(1, bytes(32), 1)

    with pytest.raises(BookNotEmpty):
        await import_book(book, meddled())  # type: ignore[arg-type]


def _transfers(lines: list[bytes]) -> list[int]:
    return [index for index, line in enumerate(lines) if b'"line":"transfer"' in line]


def _edited(line: bytes, edit: Callable[[dict[str, object]], object]) -> bytes:
    body = json.loads(line)
    edit(body)
    return json.dumps(body).encode()


CHANGES: dict[str, Callable[[list[bytes]], object]] = {
    "nothing": lambda lines: lines.clear(),
    "no header": lambda lines: lines.pop(0),
    "another format": lambda lines: lines.__setitem__(
        0, _edited(lines[0], lambda body: body.update(format="another"))
    ),
    "another version": lambda lines: lines.__setitem__(
        0, _edited(lines[0], lambda body: body.update(version=2))
    ),
    "another end in the header": lambda lines: lines.__setitem__(
        0, _edited(lines[0], lambda body: body.update(position=1))
    ),
    "no JSON": lambda lines: lines.insert(3, b"\x00\n"),
    "no end": lambda lines: lines.pop(),
    "more after the end": lambda lines: lines.append(lines[-1]),
    "an account is missing": lambda lines: lines.pop(1),
    "a transfer is missing": lambda lines: lines.pop(_transfers(lines)[5]),
    "the last transfer is missing": lambda lines: lines.pop(-2),
    "a transfer twice": lambda lines: lines.insert(
        _transfers(lines)[5], lines[_transfers(lines)[5]]
    ),
    "cut off in the middle of a line": lambda lines: lines.__setitem__(-1, lines[-1][:5]),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_export_is_refused(lines: list[bytes], change: str) -> None:
    CHANGES[change](lines)
    with pytest.raises(ExportRefused):
        await import_book(MemoryBook(), lines)


async def test_every_changed_field_of_a_transfer_is_refused(lines: list[bytes]) -> None:
    index = _transfers(lines)[5]
    fields = json.loads(lines[index])["transfer"].keys()
    values = {"metadata": {"k": "w"}, "kind": 2, "asset": "EUR", "code": "x", "reference": "x"}
    uuid = "00000000-0000-8000-8000-000000000001"
    for name in fields:
        body = json.loads(lines[index])
        old = body["transfer"][name]
        if name in values:
            body["transfer"][name] = values[name]
        elif isinstance(old, int):
            body["transfer"][name] = old + 1
        elif isinstance(old, list):
            body["transfer"][name] = [] if old and name == "counted" else [1, 2, 3, 4]
            if not old:
                body["transfer"][name] = [[uuid, 1]]
        elif isinstance(old, dict):
            body["transfer"][name] = {**old, "posted": old["posted"] + 1}
        elif name.endswith("_at"):
            body["transfer"][name] = "2020-01-01T00:00:00Z"
        elif name in ("hash", "fingerprint"):
            body["transfer"][name] = "AAAA"
        else:
            body["transfer"][name] = uuid
        changed = [*lines[:index], json.dumps(body).encode(), *lines[index + 1 :]]
        with pytest.raises(ExportRefused):
            await import_book(MemoryBook(), changed)
