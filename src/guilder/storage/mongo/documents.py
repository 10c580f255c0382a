"""Typed documents in collections, and several of them in one transaction.

MongoDB does not make the second of two writers wait inside a transaction: it rolls his back at
once, and expects the whole of it to be run again. So a transaction here remembers what it did, and
does it again by itself. If everything that it read and wrote comes out the same, nobody notices;
what comes out differently is told as the refusal that a waiting writer would have met.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from bson.int64 import Int64
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError, PyMongoError

from guilder.kernel.errors import check
from guilder.storage.base import D, Range, Scalar
from guilder.storage.errors import DuplicateDocument, StorageUnavailable, VersionConflict
from guilder.storage.mongo.document_shape import Body, DocumentShape
from guilder.storage.mongo.engine import (
    READ_TIMEOUT_MS,
    SNAPSHOT,
    Engine,
    Session,
    commit,
    to_the_end,
)
from guilder.storage.mongo.translate import translate_errors

R = TypeVar("R")

Step = Callable[[AsyncCollection[Body], Session | None], Coroutine[Any, Any, Any]]
"""One call to the database. It may be made again, with the same meaning."""

PREFIX = "documents."
AGAIN_FOR_S = 2.0
"""As long as a writer on PostgreSQL waits for a lock."""
_FIRST_PAUSE_S = 0.004
_LONGEST_PAUSE_S = 0.05


class Runner(Protocol):
    """Where the steps of a collection run: each by itself, or in one transaction."""

    async def run(self, name: str, step: Step) -> Any:  # noqa: ANN401 - what the step returns
        """Run a step on the collection of that name."""


class Single:
    """Runs every step by itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def run(self, name: str, step: Step) -> Any:  # noqa: ANN401 - what the step returns
        """Run a step; what it reads is of one moment."""
        with translate_errors():
            collection = self._engine.database[name].with_options(read_concern=SNAPSHOT)
            return await to_the_end(step(collection, None))


class MongoCollection(Generic[D]):
    """The documents of one model.

    Args:
        shape: How they are stored.
        runner: Where calls run.
    """

    def __init__(self, shape: DocumentShape[D], runner: Runner) -> None:
        self._shape = shape
        self._runner = runner
        self._name = PREFIX + shape.name

    async def insert(self, document: D) -> None:
        """Add a document.

        Raises:
            DuplicateDocument: Its id or a unique index has it.
            InvalidRequest: A text in it holds a NUL character.
        """
        check(document.version == 1, "a new document has version 1")
        body = self._shape.body(document)

        async def step(collection: AsyncCollection[Body], session: Session | None) -> None:
            try:
                await collection.insert_one(body, session=session)
            except DuplicateKeyError as error:
                raise self._duplicate(error) from error

        await self._runner.run(self._name, step)

    async def get(self, document_id: str) -> D | None:
        """Return the document with that id."""
        return await self._find_one({"_id": document_id})

    async def get_many(self, document_ids: Sequence[str]) -> dict[str, D]:
        """Return the documents with those ids, by id; missing ones are left out."""
        if not document_ids:
            return {}
        found = await self._find({"_id": {"$in": list(document_ids)}})
        return {document.id: document for document in found}

    async def find_one(self, equal: Mapping[str, Scalar]) -> D | None:
        """Return the document that a unique index has under these values (all its fields)."""
        return await self._find_one(self._shape.find_one(equal))

    async def find_many(self, field: str, values: Sequence[str]) -> dict[str, D]:
        """Return the documents that the unique index of one field has under these values."""
        if not values:
            return {}
        found = await self._find(self._shape.find_many(field, values))
        return {getattr(document, field): document for document in found}

    async def page(
        self,
        equal: Mapping[str, Scalar],
        *,
        within: Range | None = None,
        after: tuple[Scalar, str] | None = None,
        descending: bool = False,
        limit: int = 25,
    ) -> list[D]:
        """Return documents of one declared index in its order; see `storage.base.Collection`.

        Documents whose `within` field is None are in no page by that field.
        """
        query, order = self._shape.page(
            equal, within=within, after=after, descending=descending, limit=limit
        )
        return await self._find(query, sort=order, limit=limit)

    async def replace(self, document: D) -> D:
        """Write a document back and return it with its version raised.

        Raises:
            VersionConflict: The stored version is not `document.version`, or there is none.
            DuplicateDocument: A unique index has it.
            InvalidRequest: A text in it holds a NUL character.
        """
        raised = msgspec.structs.replace(document, version=document.version + 1)
        body = self._shape.body(raised)
        query = {"_id": document.id, "version": Int64(document.version)}

        async def step(collection: AsyncCollection[Body], session: Session | None) -> None:
            try:
                done = await collection.replace_one(query, body, session=session)
            except DuplicateKeyError as error:
                raise self._duplicate(error) from error
            if done.matched_count != 1:
                raise VersionConflict

        await self._runner.run(self._name, step)
        return raised

    async def delete(self, document_id: str) -> bool:
        """Remove a document; tell whether there was one."""

        async def step(collection: AsyncCollection[Body], session: Session | None) -> bool:
            done = await collection.delete_one({"_id": document_id}, session=session)
            return done.deleted_count == 1

        return bool(await self._runner.run(self._name, step))

    async def _find(self, query: Body, **options: Any) -> list[D]:  # noqa: ANN401 - of the driver
        """Run a query."""

        async def step(collection: AsyncCollection[Body], session: Session | None) -> list[Body]:
            if session is None:
                options["max_time_ms"] = READ_TIMEOUT_MS
            return await collection.find(
                query, session=session, batch_size=1_000, **options
            ).to_list()

        return [self._shape.document(body) for body in await self._runner.run(self._name, step)]

    async def _find_one(self, query: Body) -> D | None:
        """Run a query that has at most one result."""
        found = await self._find(query)
        check(len(found) <= 1, "a unique index has at most one document")
        return found[0] if found else None

    def _duplicate(self, error: DuplicateKeyError) -> DuplicateDocument:
        return DuplicateDocument(self._shape.index_of((error.details or {}).get("keyPattern", {})))


class TransactionRunner:
    """Runs steps in one transaction, and all of them again when another writer was in the way.

    Args:
        engine: The database.
        session: Its transaction has been started.
    """

    def __init__(self, engine: Engine, session: Session) -> None:
        self._engine = engine
        self._session = session
        self._done: list[tuple[str, Step, object]] = []
        self._is_rolled_back = False
        """By the server: what was done has to be done again."""
        self._is_refused = False

    async def run(self, name: str, step: Step) -> Any:  # noqa: ANN401 - what the step returns
        """Run a step.

        Raises:
            StorageUnavailable: The database is away, or another writer was in
                the way and what was read before is no longer so.
            DuplicateDocument: Nothing more can be done in this transaction.
            VersionConflict: Of this step, or of an earlier one done again.
        """
        check(not self._is_refused, "after a duplicate a transaction can only be left")
        with translate_errors():
            result = await self._insist(lambda: self._step(name, step))
        self._done.append((name, step, result))
        return result

    async def commit(self) -> None:
        """Commit. After a duplicate there is nothing to commit: all was rolled back.

        Raises:
            StorageUnavailable: As from `run`; or the outcome is unknown.
        """
        if not self._is_refused:
            await self._insist(lambda: commit(self._session))

    async def _insist(self, action: Callable[[], Awaitable[R]]) -> R:
        """Do it; when the server rolls back in favour of another writer, do everything again."""
        loop = asyncio.get_running_loop()
        deadline, pause_s = loop.time() + AGAIN_FOR_S, _FIRST_PAUSE_S
        while True:
            try:
                if self._is_rolled_back:
                    await self._repeat()
                return await action()
            except PyMongoError as error:
                transient = error.has_error_label("TransientTransactionError")
                if not transient or loop.time() >= deadline:
                    raise
                self._is_rolled_back = True
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _repeat(self) -> None:
        """Begin again and do what was done; it must come out the same."""
        if self._session.in_transaction:
            await self._session.abort_transaction()
        await self._session.start_transaction()
        for name, step, result in self._done:
            if await self._step(name, step) != result:
                raise StorageUnavailable(
                    "Somebody changed what this was about. Ask again.", retry_after_s=1
                )
        self._is_rolled_back = False

    async def _step(self, name: str, step: Step) -> Any:  # noqa: ANN401 - what the step returns
        try:
            return await to_the_end(step(self._engine.database[name], self._session))
        except DuplicateDocument:
            self._is_refused = True
            raise
