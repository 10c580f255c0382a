"""Books for tests: accounts and requests in one line each, and a book that lives in memory."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from guilder.kernel.ids import derived_uuid, new_uuid
from guilder.ledger.models import TransferRequest
from guilder.storage.base import LedgerBatch, LedgerReads, TransferFilter
from guilder.storage.errors import StorageUnavailable
from guilder.storage.records import (
    GENESIS,
    Account,
    Counter,
    Head,
    Hold,
    Leg,
    Total,
    TotalBy,
    Transfer,
    TransferKind,
)

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def account_id(name: str) -> UUID:
    """Return the id of the test account of that name."""
    return derived_uuid("test-account", name)


def account(name: str, **fields: Any) -> Account:
    """Return a wallet's account in USD. One whose name starts with `mint` may go below zero."""
    base: dict[str, Any] = {
        "id": account_id(name),
        "asset": "USD",
        "code": "wallet",
        "owner": name,
        "no_overdraft": not name.startswith("mint"),
        "created_at": NOON,
    }
    return Account(**{**base, **fields})


def fingerprint(text: object) -> bytes:
    """Return 32 bytes that stand for a request."""
    return hashlib.sha256(str(text).encode()).digest()


def request(debit: str, credit: str, amount_minor: int = 100, **fields: Any) -> TransferRequest:
    """Return a request for a transfer between two test accounts, under a new id."""
    base: dict[str, Any] = {
        "id": new_uuid(),
        "debit_account_id": account_id(debit),
        "credit_account_id": account_id(credit),
        "amount_minor": amount_minor,
        "asset": "USD",
        "code": "test",
        "fingerprint": fingerprint("the request"),
    }
    return TransferRequest(**{**base, **fields})


def transfer_id(name: object) -> UUID:
    """Return the id of the test transfer of that name."""
    return derived_uuid("test-transfer", str(name))


def stored_transfer(kind: TransferKind = TransferKind.POST) -> Transfer:
    """Return 5 USD from `payer`, who had 100, to `payee`, as the journal has it."""
    return Transfer(
        position=1,
        id=transfer_id("stored"),
        kind=kind,
        debit_account_id=account_id("payer"),
        credit_account_id=account_id("payee"),
        amount_minor=5,
        asset="USD",
        code="transfer",
        group_id=None,
        hold_id=None,
        expires_at=None,
        effective_at=NOON,
        created_at=NOON,
        reference="",
        metadata={},
        fingerprint=fingerprint("the request"),
        debit=Leg(1, 95, 0, 0),
        credit=Leg(1, 5, 0, 0),
        hash=bytes(32),
    )


class MemoryBook:
    """A book in memory that can be held up, lose its connection, and choke on a transfer.

    Attributes:
        open: Batches wait for it before they begin.
        held: How many batches do.
        lose_before: So many of the next commits fail and write nothing.
        lose_after: So many of the next commits are written, and their answer is lost.
        before_commit: Called before each commit.
        begun: The ids that each batch asked about, batch by batch.
    """

    def __init__(self, *accounts: Account) -> None:
        self.account_by_id = {each.id: each for each in accounts}
        self.hold_by_id: dict[UUID, Hold] = {}
        self.counter_by_id: dict[UUID, Counter] = {}
        self.journal: list[Transfer] = []
        self.end = GENESIS
        self.open = asyncio.Event()
        self.open.set()
        self.held = 0
        self.now = NOON
        self.lose_before = 0
        self.lose_after = 0
        self.before_commit: Callable[[], None] = _nothing
        self.begun: list[list[UUID]] = []
        self.loaded: list[UUID] = []
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def batch(self) -> AsyncIterator[LedgerBatch]:
        self.held += 1
        await self.open.wait()
        self.held -= 1
        async with self._lock:
            self.now += timedelta(milliseconds=1)
            batch = _MemoryBatch(self)
            yield cast(LedgerBatch, batch)
            self.before_commit()
            if self.lose_before:
                self.lose_before -= 1
                raise StorageUnavailable
            batch.commit()
            if self.lose_after:
                self.lose_after -= 1
                raise StorageUnavailable

    async def open_accounts(self, accounts: Sequence[Account]) -> None:
        for each in accounts:
            self.account_by_id.setdefault(each.id, each)

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[LedgerReads]:
        yield self

    async def head(self) -> Head:
        return self.end

    async def accounts(self, account_ids: Sequence[UUID]) -> dict[UUID, Account]:
        return {key: self.account_by_id[key] for key in account_ids if key in self.account_by_id}

    async def accounts_after(self, account_id: UUID | None, limit: int) -> list[Account]:
        return _page(self.account_by_id, account_id, limit)

    async def accounts_of(self, owner: str) -> list[Account]:
        return [each for each in self.account_by_id.values() if each.owner == owner]

    async def transfers(self, transfer_ids: Sequence[UUID]) -> dict[UUID, Transfer]:
        return {each.id: each for each in self.journal if each.id in set(transfer_ids)}

    async def transfers_after(self, position: int, limit: int) -> list[Transfer]:
        return self.journal[position : position + limit]

    async def account_transfers(
        self,
        account_ids: Sequence[UUID],
        wanted: TransferFilter,
        *,
        before_position: int | None = None,
        limit: int = 25,
    ) -> list[Transfer]:
        """Return them newest first; `wanted` is not looked at."""
        mine = set(account_ids)
        touching = [
            each
            for each in self.journal
            if not mine.isdisjoint((each.debit_account_id, each.credit_account_id))
            and (before_position is None or each.position < before_position)
        ]
        return touching[::-1][:limit]

    async def holds(self, hold_ids: Sequence[UUID]) -> dict[UUID, Hold]:
        return {key: self.hold_by_id[key] for key in hold_ids if key in self.hold_by_id}

    async def holds_expired(self, now: datetime, limit: int) -> list[Hold]:
        raise NotImplementedError

    async def counters(self, counter_ids: Sequence[UUID]) -> dict[UUID, Counter]:
        return {key: self.counter_by_id[key] for key in counter_ids if key in self.counter_by_id}

    async def counters_after(self, counter_id: UUID | None, limit: int) -> list[Counter]:
        return _page(self.counter_by_id, counter_id, limit)

    async def totals(self, by: TotalBy = TotalBy.CODE) -> list[Total]:
        raise NotImplementedError

    async def legs_at(self, account_ids: Sequence[UUID], position: int) -> dict[UUID, Leg]:
        legs: dict[UUID, Leg] = {}
        for each in self.journal[:position]:
            legs |= {each.debit_account_id: each.debit, each.credit_account_id: each.credit}
        return {key: leg for key, leg in legs.items() if key in set(account_ids)}

    async def holds_after(self, hold_id: UUID | None, limit: int) -> list[Hold]:
        return _page(self.hold_by_id, hold_id, limit)

    def posted(self, name: str) -> int:
        """Return what is posted on a test account."""
        return self.account_by_id[account_id(name)].posted


class _MemoryBatch:
    def __init__(self, book: MemoryBook) -> None:
        self._book = book
        self.head = book.end
        self.now = book.now
        self._transfers: list[Transfer] = []
        self._accounts: dict[UUID, Account] = {}
        self._holds: dict[UUID, Hold] = {}
        self._counters: dict[UUID, Counter] = {}
        self._head = book.end

    async def find_transfers(self, transfer_ids: Sequence[UUID]) -> dict[UUID, Transfer]:
        self._book.begun.append(list(transfer_ids))
        return await self._book.transfers(transfer_ids)

    async def load_accounts(self, account_ids: Iterable[UUID]) -> dict[UUID, Account]:
        wanted = list(account_ids)
        self._book.loaded += wanted
        return await self._book.accounts(wanted)

    async def load_holds(self, hold_ids: Sequence[UUID]) -> dict[UUID, Hold]:
        return await self._book.holds(hold_ids)

    async def load_counters(self, counter_ids: Sequence[UUID]) -> dict[UUID, Counter]:
        return await self._book.counters(counter_ids)

    async def append(self, transfers: Iterable[Transfer]) -> None:
        for transfer in transfers:
            if transfer.code == "poison":
                raise ValueError("the database cannot keep this")
            self._transfers.append(transfer)

    async def set_flags(self, accounts: Sequence[Account], head: Head) -> None:
        self._accounts = {each.id: each for each in accounts}
        self._head = head

    async def advance(
        self,
        accounts: Iterable[Account],
        holds: Sequence[Hold],
        counters: Sequence[Counter],
        head: Head,
    ) -> None:
        self._counters = {each.id: each for each in counters}
        self._accounts = {each.id: each for each in accounts}
        self._holds = {each.id: each for each in holds}
        self._head = head

    def commit(self) -> None:
        book = self._book
        book.journal += self._transfers
        book.account_by_id |= self._accounts
        book.hold_by_id |= self._holds
        book.counter_by_id |= self._counters
        book.end = self._head


def _nothing() -> None:
    pass


def _page(records: dict[UUID, Any], after: UUID | None, limit: int) -> list[Any]:
    return [records[key] for key in sorted(records) if after is None or key > after][:limit]
