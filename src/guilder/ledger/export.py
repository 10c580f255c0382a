"""A book as lines of JSON, out of one database and into another, of either engine.

The first line says what it is and where the book ends; then come the accounts, then the journal in
order, then an end. Balances, holds and counters are not in it: they follow from the journal.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from guilder.ledger.errors import BookNotEmpty, ExportRefused
from guilder.ledger.verify import Books, follow, verify
from guilder.storage.base import LedgerBatch, LedgerReads, LedgerStorage
from guilder.storage.records import Account, Counter, Head, Transfer

FORMAT = "guilder-books"
VERSION = 1
PAGE = 1_000
"""Records that are read, and transfers that are committed, at a time."""


class Header(Struct, frozen=True, tag="header", tag_field="line"):
    """The first line.

    Args:
        position: Of the last transfer.
        hash: Of that transfer.
    """

    format: str
    version: int
    position: int
    hash: bytes


class AccountLine(Struct, frozen=True, tag="account", tag_field="line"):
    """An account, without balances."""

    account: Account


class TransferLine(Struct, frozen=True, tag="transfer", tag_field="line"):
    """A transfer as it stands in the journal."""

    transfer: Transfer


class End(Struct, frozen=True, tag="end", tag_field="line"):
    """The last line: without it the rest is missing."""

    accounts: int
    transfers: int


Line = Header | AccountLine | TransferLine | End

_encode = msgspec.json.Encoder(order="deterministic").encode
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


async def export_book(book: LedgerStorage, write: Callable[[bytes], object]) -> Head:
    """Write a book as it is at one moment, also while it grows.

    Args:
        write: Takes one line after the other, each with its end.

    Returns:
        Where the exported book ends.

    Raises:
        StorageUnavailable: The database is away.
    """
    async with book.snapshot() as moment:
        head = await moment.head()
        write(_line(Header(FORMAT, VERSION, head.position, head.hash)))
        accounts = 0
        async for account in _accounts(moment):
            blank = replace(account, posted=0, pending_in=0, pending_out=0, sequence=0)
            write(_line(AccountLine(blank)))
            accounts += 1
        position = 0
        while page := await moment.transfers_after(position, PAGE):
            position = page[-1].position
            for transfer in page:
                write(_line(TransferLine(transfer)))
        write(_line(End(accounts, position)))
    return head


async def import_book(book: LedgerStorage, lines: Iterable[bytes]) -> Head:
    """Write an export into an empty book, line by line verified, and verify the result.

    An import that fails leaves what it has written so far: drop the database and begin anew.

    Returns:
        Where the book ends now: with the hash that the export names.

    Raises:
        BookNotEmpty: There is something in the book.
        ExportRefused: The export is cut off, changed, or was never right.
        StorageUnavailable: The database is away.
    """
    if (await book.head()).revision or await book.accounts_after(None, 1):
        raise BookNotEmpty("Import into a new database.")
    reader = _Reader(lines)
    header = reader.header()
    accounts = await _import_accounts(book, reader)
    importer = _Importer(book, accounts)
    while page := list(islice(reader.transfers(), PAGE)):
        await importer.write(page)
    reader.expect_end(End(len(accounts), importer.books.report.position))
    await importer.set_flags()
    report = await verify(book)
    if report.difference is not None:
        raise ExportRefused(f"At position {report.difference.position} {report.difference.what}.")
    if (report.position, report.hash) != (header.position, header.hash):
        raise ExportRefused("The journal does not end where the first line says.")
    return await book.head()


def _line(line: Line) -> bytes:
    return _encode(line) + b"\n"


async def _accounts(moment: LedgerReads) -> AsyncIterator[Account]:
    last: UUID | None = None
    while page := await moment.accounts_after(last, PAGE):
        last = page[-1].id
        for account in page:
            yield account


async def _import_accounts(book: LedgerStorage, reader: "_Reader") -> dict[UUID, Account]:
    accounts: dict[UUID, Account] = {}
    while page := list(islice(reader.accounts(), PAGE)):
        await book.open_accounts(page)
        accounts |= {account.id: account for account in page}
    return accounts


class _Reader:
    """Reads lines one by one, and says of which one something is wrong."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._number = 0
        self._ahead: Line | None = None

    def header(self) -> Header:
        """Return the first line."""
        line = self._next()
        if not isinstance(line, Header) or (line.format, line.version) != (FORMAT, VERSION):
            raise ExportRefused(f"Line 1 is not the beginning of a {FORMAT} {VERSION} export.")
        return line

    def accounts(self) -> Iterator[Account]:
        """Yield accounts as long as there are any."""
        while isinstance(line := self._peek(), AccountLine):
            self._ahead = None
            yield line.account

    def transfers(self) -> Iterator[Transfer]:
        """Yield transfers as long as there are any."""
        while isinstance(line := self._peek(), TransferLine):
            self._ahead = None
            yield line.transfer

    def expect_end(self, expected: End) -> None:
        """Read the last line.

        Raises:
            ExportRefused: It is another, or not the last.
        """
        line = self._next()
        if line != expected or next(self._lines, None) is not None:
            raise ExportRefused(f"Line {self._number} is not the end of this export.")

    def _peek(self) -> Line:
        if self._ahead is None:
            self._ahead = self._next()
        return self._ahead

    def _next(self) -> Line:
        if self._ahead is not None:
            line, self._ahead = self._ahead, None
            return line
        raw = next(self._lines, None)
        self._number += 1
        if raw is None:
            raise ExportRefused(f"The export is cut off before line {self._number}.")
        try:
            return _decoder.decode(raw)
        except (msgspec.MsgspecError, ValueError) as error:
            raise ExportRefused(f"Line {self._number} cannot be read: {error}.") from error


class _Importer:
    """Writes pages of a journal, and what follows from them."""

    def __init__(self, book: LedgerStorage, accounts: dict[UUID, Account]) -> None:
        self._book = book
        self._accounts = accounts
        self.books = Books()

    async def write(self, page: Sequence[Transfer]) -> None:
        """Verify a page and commit it."""
        async with self._book.batch() as batch:
            report = self.books.report
            if (batch.head.position, batch.head.hash) != (report.position, report.hash):
                raise BookNotEmpty("Somebody else writes into this book. Import into a new one.")
            originals = await self._originals(batch, page)
            for transfer in page:
                self._take(transfer, originals)
            await batch.append(page)
            await self._advance(batch, page)

    def _take(self, transfer: Transfer, originals: dict[UUID, Transfer]) -> None:
        for account_id in (transfer.debit_account_id, transfer.credit_account_id):
            if account_id not in self._accounts:
                raise ExportRefused(f"Account {account_id} of {transfer.id} is missing.")
        difference = follow(self.books, transfer, originals)
        if difference is not None:
            raise ExportRefused(f"At position {difference.position} {difference.what}.")

    async def _originals(
        self, batch: LedgerBatch, page: Sequence[Transfer]
    ) -> dict[UUID, Transfer]:
        """Return what the page reverses, from before it and from inside of it."""
        wanted = {t.reverses_id for t in page if t.reverses_id is not None}
        found = await batch.find_transfers(list(wanted)) if wanted else {}
        return found | {t.id: t for t in page if t.id in wanted}

    async def _advance(self, batch: LedgerBatch, page: Sequence[Transfer]) -> None:
        changed: dict[UUID, Account] = {}
        hold_ids: set[UUID] = set()
        counter_ids: set[UUID] = set()
        for transfer in page:
            for account_id, leg in (
                (transfer.debit_account_id, transfer.debit),
                (transfer.credit_account_id, transfer.credit),
            ):
                changed[account_id] = replace(
                    self._accounts[account_id],
                    sequence=leg.sequence,
                    posted=leg.posted,
                    pending_in=leg.pending_in,
                    pending_out=leg.pending_out,
                )
            hold_ids |= {transfer.id, transfer.hold_id or transfer.id} & self.books.holds.keys()
            counter_ids |= {each.counter_id for each in transfer.counted}
        report, counters = self.books.report, self.books.counters
        await batch.advance(
            changed.values(),
            [self.books.holds[each] for each in sorted(hold_ids)],
            [Counter(each, counters[each]) for each in sorted(counter_ids)],
            Head(report.position, report.hash, batch.head.revision + 1),
        )

    async def set_flags(self) -> None:
        """Freeze and close what was frozen and closed, behind the journal."""
        for told in self._accounts.values():
            if not (told.is_frozen or told.is_closed):
                continue
            async with self._book.batch() as batch:
                stored = (await batch.load_accounts([told.id]))[told.id]
                flagged = replace(stored, is_frozen=told.is_frozen, is_closed=told.is_closed)
                head = batch.head
                await batch.set_flags([flagged], Head(head.position, head.hash, head.revision + 1))
