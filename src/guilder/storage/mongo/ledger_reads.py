"""What can be asked of a book on MongoDB: each read is of one moment, as the majority has it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from bson.int64 import Int64
from pymongo.asynchronous.collection import AsyncCollection

from guilder.storage.base import TransferFilter
from guilder.storage.mongo.engine import (
    READ_TIMEOUT_MS,
    SNAPSHOT,
    Body,
    Engine,
    Session,
    to_the_end,
)
from guilder.storage.mongo.ledger_shapes import (
    account_of,
    counter_of,
    head_of,
    hold_of,
    legs_of,
    legs_steps,
    total_of,
    totals_steps,
    transfer_of,
)
from guilder.storage.mongo.translate import translate_errors
from guilder.storage.records import Account, Counter, Head, Hold, Leg, Total, TotalBy, Transfer
from guilder.storage.turns import in_turns

_AT_A_TIME = 1_000
"""Documents of one answer: reading more of them from the wire would hold others up."""


class MongoReads:
    """Reads of a book, each of one moment; all of the same one in a session that keeps it."""

    def __init__(self, engine: Engine, prefix: str, session: Session | None = None) -> None:
        self._engine = engine
        self._prefix = prefix
        self._session = session

    async def _find(
        self,
        kind: str,
        shape: Callable[[Body], Any],
        query: Body,
        *,
        order: list[tuple[str, int]] | None = None,
        limit: int = 0,
    ) -> list[Any]:
        with translate_errors():
            cursor = self._collection(kind).find(
                query,
                session=self._session,
                sort=order,
                limit=limit,
                batch_size=limit or _AT_A_TIME,
                max_time_ms=READ_TIMEOUT_MS,
            )
            found = await to_the_end(cursor.to_list())
            return [shape(body) async for body in in_turns(found)]

    def _collection(self, kind: str) -> AsyncCollection[Body]:
        collection = self._engine.database[f"{self._prefix}_{kind}"]
        if self._session is None:
            return collection.with_options(read_concern=SNAPSHOT)
        return collection

    async def head(self) -> Head:
        """Return where the book ends."""
        (head,) = await self._find("head", head_of, {"_id": "head"})
        return head  # type: ignore[no-any-return]

    async def accounts(self, account_ids: Sequence[UUID]) -> dict[UUID, Account]:
        """Return those of the accounts that exist, from one consistent read."""
        found = await self._find("accounts", account_of, {"_id": {"$in": list(account_ids)}})
        return {account.id: account for account in found}

    async def accounts_after(self, account_id: UUID | None, limit: int) -> list[Account]:
        """Return accounts in the order of their ids."""
        return await self._find(
            "accounts", account_of, _after(account_id), order=[("_id", 1)], limit=limit
        )

    async def accounts_of(self, owner: str) -> list[Account]:
        """Return an owner's accounts, from one consistent read."""
        return await self._find("accounts", account_of, {"owner": owner})

    async def transfers(self, transfer_ids: Sequence[UUID]) -> dict[UUID, Transfer]:
        """Return those of the transfers that the journal has."""
        found = await self._find("transfers", transfer_of, {"id": {"$in": list(transfer_ids)}})
        return {transfer.id: transfer for transfer in found}

    async def transfers_after(self, position: int, limit: int) -> list[Transfer]:
        """Return the journal from `position` + 1 on, in order."""
        query = {"_id": {"$gt": Int64(position)}}
        return await self._find("transfers", transfer_of, query, order=[("_id", 1)], limit=limit)

    async def account_transfers(
        self,
        account_ids: Sequence[UUID],
        wanted: TransferFilter,
        *,
        before_position: int | None = None,
        limit: int = 25,
    ) -> list[Transfer]:
        """Return the transfers that touch the accounts, newest first."""
        query = _conditions(wanted, before_position)
        sides = [wanted.side] if wanted.side else ["debit", "credit"]
        either = [{f"{side}_account_id": {"$in": list(account_ids)}, **query} for side in sides]
        return await self._find(
            "transfers", transfer_of, {"$or": either}, order=[("_id", -1)], limit=limit
        )

    async def holds(self, hold_ids: Sequence[UUID]) -> dict[UUID, Hold]:
        """Return those of the holds that exist, settled ones too."""
        found = await self._find("holds", hold_of, {"_id": {"$in": list(hold_ids)}})
        return {hold.id: hold for hold in found}

    async def holds_expired(self, now: datetime, limit: int) -> list[Hold]:
        """Return open holds whose time is over, the oldest first."""
        query = {"remaining_minor": {"$gt": 0}, "expires_at": {"$lte": now}}
        order = [("expires_at", 1), ("_id", 1)]
        return await self._find("holds", hold_of, query, order=order, limit=limit)

    async def counters(self, counter_ids: Sequence[UUID]) -> dict[UUID, Counter]:
        """Return those of the counters that have counted something."""
        found = await self._find("counters", counter_of, {"_id": {"$in": list(counter_ids)}})
        return {counter.id: counter for counter in found}

    async def counters_after(self, counter_id: UUID | None, limit: int) -> list[Counter]:
        """Return counters in the order of their ids."""
        return await self._find(
            "counters", counter_of, _after(counter_id), order=[("_id", 1)], limit=limit
        )

    async def totals(self, by: TotalBy = TotalBy.CODE) -> list[Total]:
        """Return the sums of balances by asset and code or owner, from one consistent read."""
        return [total_of(body) for body in await self._aggregate(totals_steps(by))]

    async def legs_at(self, account_ids: Sequence[UUID], position: int) -> dict[UUID, Leg]:
        """Return what the last transfer up to a position left on each account that had one."""
        steps = legs_steps(account_ids, position, transfers=f"{self._prefix}_transfers")
        found = [legs_of(body) for body in await self._aggregate(steps)]
        return {account_id: leg for account_id, leg in found if leg is not None}

    async def _aggregate(self, steps: list[Body]) -> list[Body]:
        """Add up over accounts."""

        async def run() -> list[Body]:
            found = await self._collection("accounts").aggregate(
                steps, session=self._session, maxTimeMS=READ_TIMEOUT_MS
            )
            return await found.to_list()

        with translate_errors():
            return await to_the_end(run())

    async def holds_after(self, hold_id: UUID | None, limit: int) -> list[Hold]:
        """Return holds in the order of their ids."""
        return await self._find("holds", hold_of, _after(hold_id), order=[("_id", 1)], limit=limit)


def _after(record_id: UUID | None) -> Body:
    return {} if record_id is None else {"_id": {"$gt": record_id}}


def _conditions(wanted: TransferFilter, before_position: int | None) -> Body:
    """Return what a filter asks for, the side apart."""
    query: Body = {}
    if before_position is not None:
        query["_id"] = {"$lt": Int64(before_position)}
    if wanted.kinds is not None:
        query["kind"] = {"$in": list(wanted.kinds)}
    if wanted.code is not None:
        query["code"] = wanted.code
    for field, bound, value in (
        ("amount_minor", "$gte", wanted.amount_at_least),
        ("amount_minor", "$lt", wanted.amount_below),
        ("created_at", "$gte", wanted.created_at_least),
        ("created_at", "$lt", wanted.created_below),
    ):
        if value is not None:
            number = Int64(value) if type(value) is int else value
            query.setdefault(field, {})[bound] = number
    return query
