"""The door to storage: what an engine must do, and all that a feature may ask of it.

Two parts. `LedgerStorage` has the few primitives the journal writer needs, written natively by
each engine. `Collection` keeps typed documents with declared indexes: equality and range on those,
and no more.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct

from guilder.storage.records import Account, Counter, Head, Hold, Leg, Total, TotalBy, Transfer

Scalar = str | int | bool | datetime
"""What an index may compare. Integers are int64; times are aware UTC."""


class Document(Struct, frozen=True, kw_only=True):
    """A stored record. Subclasses add fields and declare `collection`, `unique` and `indexes`.

    Attributes:
        collection: Name of the collection, snake_case and plural.
        unique: Index by index, the fields whose values no two documents share.
            A document in which one of them is None is not in that index.
        indexes: Index by index, the fields to find and order by. `id` ends each of them.
        sealed: The fields that `vault` seals, each text or None. `guilder keys rotate` walks them.
        append_only: Documents are inserted and read, and nothing else. Where the application has
            a role of its own, PostgreSQL refuses it the rest.

    Invariants:
        `version` is 1 when inserted and grows by one with every replacement.
    """

    collection: ClassVar[str]
    unique: ClassVar[tuple[tuple[str, ...], ...]] = ()
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = ()
    sealed: ClassVar[tuple[str, ...]] = ()
    append_only: ClassVar[bool] = False

    id: str
    version: int = 1
    created_at: datetime
    updated_at: datetime


D = TypeVar("D", bound=Document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A half-open interval of one indexed field: `at_least` <= value < `below`."""

    field: str
    at_least: Scalar | None = None
    below: Scalar | None = None


class Collection(Protocol[D]):
    """The documents of one model. Outside a transaction every call is one of its own."""

    async def insert(self, document: D) -> None:
        """Add a document.

        Raises:
            DuplicateDocument: Its id or a unique index has it. Inside a
                transaction nothing more can be done there but leave it.
        """

    async def get(self, document_id: str) -> D | None:
        """Return the document with that id."""

    async def get_many(self, document_ids: Sequence[str]) -> dict[str, D]:
        """Return the documents with those ids, by id; missing ones are left out."""

    async def find_one(self, equal: Mapping[str, Scalar]) -> D | None:
        """Return the document that a unique index has under the values of all its fields."""

    async def find_many(self, field: str, values: Sequence[str]) -> dict[str, D]:
        """Return the documents that the unique index of one field has under these values, by value.

        Args:
            field: It alone is a unique index, and its values are text.
            values: Any number; those that no document has are left out.
        """

    async def page(
        self,
        equal: Mapping[str, Scalar],
        *,
        within: Range | None = None,
        after: tuple[Scalar, str] | None = None,
        descending: bool = False,
        limit: int = 25,
    ) -> list[D]:
        """Return documents of one declared index in its order.

        Args:
            equal: Values of the index's first fields.
            within: Bounds on the index field after those. The page is ordered by
                that field, then id; without `within`, by id alone.
            after: Value of the ordering field (the id, without `within`) and id
                of the last document of the page before.
            descending: Turn the order around.
            limit: Most documents to return.
        """

    async def replace(self, document: D) -> D:
        """Write a document back and return it with its version raised.

        Raises:
            VersionConflict: The stored version is not `document.version`.
            DuplicateDocument: A unique index has it.
        """

    async def delete(self, document_id: str) -> bool:
        """Remove a document; tell whether there was one."""


class Transaction(Protocol):
    """Documents that change together or not at all."""

    def documents(self, model: type[D]) -> Collection[D]:
        """Return the collection of `model`, inside this transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFilter:
    """Which transfers of an account's history are wanted. None means any.

    Args:
        side: `debit` or `credit`, as the account stands in the transfer.
    """

    side: str | None = None
    kinds: tuple[int, ...] | None = None
    code: str | None = None
    amount_at_least: int | None = None
    amount_below: int | None = None
    created_at_least: datetime | None = None
    created_below: datetime | None = None


class LedgerBatch(Protocol):
    """One database transaction that holds the head of the book."""

    head: Head
    now: datetime
    """Database time, read after the head was taken, to the millisecond."""

    async def find_transfers(self, transfer_ids: Sequence[UUID]) -> dict[UUID, Transfer]:
        """Return those of the transfers that the journal has."""

    async def load_accounts(self, account_ids: Iterable[UUID]) -> dict[UUID, Account]:
        """Return those of the accounts that exist."""

    async def load_holds(self, hold_ids: Sequence[UUID]) -> dict[UUID, Hold]:
        """Return those of the holds that exist, settled ones too."""

    async def load_counters(self, counter_ids: Sequence[UUID]) -> dict[UUID, Counter]:
        """Return those of the counters that have counted something."""

    async def append(self, transfers: Iterable[Transfer]) -> None:
        """Write new lines of the journal. They may be made while they are written."""

    async def advance(
        self,
        accounts: Iterable[Account],
        holds: Sequence[Hold],
        counters: Sequence[Counter],
        head: Head,
    ) -> None:
        """Write what the new lines changed: balances, holds, counters, and the head."""

    async def set_flags(self, accounts: Sequence[Account], head: Head) -> None:
        """Write `is_frozen` and `is_closed` of accounts, and the head's new revision."""


class LedgerReads(Protocol):
    """What can be asked of a book."""

    async def head(self) -> Head:
        """Return where the book ends."""

    async def accounts(self, account_ids: Sequence[UUID]) -> dict[UUID, Account]:
        """Return those of the accounts that exist, from one consistent read."""

    async def accounts_after(self, account_id: UUID | None, limit: int) -> list[Account]:
        """Return accounts in the order of their ids."""

    async def accounts_of(self, owner: str) -> list[Account]:
        """Return an owner's accounts, from one consistent read."""

    async def transfers(self, transfer_ids: Sequence[UUID]) -> dict[UUID, Transfer]:
        """Return those of the transfers that the journal has."""

    async def transfers_after(self, position: int, limit: int) -> list[Transfer]:
        """Return the journal from `position` + 1 on, in order."""

    async def account_transfers(
        self,
        account_ids: Sequence[UUID],
        wanted: TransferFilter,
        *,
        before_position: int | None = None,
        limit: int = 25,
    ) -> list[Transfer]:
        """Return the transfers that touch the accounts, newest first."""

    async def holds(self, hold_ids: Sequence[UUID]) -> dict[UUID, Hold]:
        """Return those of the holds that exist, settled ones too."""

    async def holds_after(self, hold_id: UUID | None, limit: int) -> list[Hold]:
        """Return holds in the order of their ids."""

    async def holds_expired(self, now: datetime, limit: int) -> list[Hold]:
        """Return open holds whose time is over, the oldest first."""

    async def counters(self, counter_ids: Sequence[UUID]) -> dict[UUID, Counter]:
        """Return those of the counters that have counted something."""

    async def counters_after(self, counter_id: UUID | None, limit: int) -> list[Counter]:
        """Return counters in the order of their ids."""

    async def totals(self, by: TotalBy = TotalBy.CODE) -> list[Total]:
        """Return the exact sums of balances by asset and code or owner, in the order of both.

        From one consistent read, of accounts that something has happened to.
        """

    async def legs_at(self, account_ids: Sequence[UUID], position: int) -> dict[UUID, Leg]:
        """Return what the last transfer up to a position left on each account that had one."""


class LedgerStorage(LedgerReads, Protocol):
    """One book."""

    def batch(self) -> AbstractAsyncContextManager[LedgerBatch]:
        """Take the head; commit on leaving, roll back on an exception.

        Raises:
            StorageUnavailable: The connection was lost. Raised from leaving
                the block, the outcome is unknown.
        """

    async def open_accounts(self, accounts: Sequence[Account]) -> None:
        """Add those of the accounts that do not exist; leave the others as they are."""

    def snapshot(self) -> AbstractAsyncContextManager[LedgerReads]:
        """Read the book as it is at one moment, for as long as the block lasts."""


class Storage(Protocol):
    """An open database."""

    def ledger(self, book: str = "main") -> LedgerStorage:
        """Return a book."""

    def documents(self, model: type[D]) -> Collection[D]:
        """Return the collection of `model`."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin a document transaction; commit on leaving, roll back on an exception."""

    async def migrate(self, models: Iterable[type[Document]]) -> list[str]:
        """Bring the schema and the indexes of `models` up to date, and return what was done."""

    async def ping(self) -> None:
        """Ask the database for an answer.

        Raises:
            StorageUnavailable: There is none.
        """

    async def close(self) -> None:
        """Close every connection; stop the server if it is ours."""
