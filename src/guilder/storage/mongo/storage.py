"""The MongoDB side of the door: one open database."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

from guilder.storage.base import D, Document, LedgerStorage
from guilder.storage.mongo.document_shape import DocumentShape
from guilder.storage.mongo.documents import MongoCollection, Single, TransactionRunner
from guilder.storage.mongo.engine import Engine, to_the_end
from guilder.storage.mongo.lease import Seat
from guilder.storage.mongo.ledger import MongoLedger
from guilder.storage.mongo.migrate import migrate
from guilder.storage.mongo.translate import translate_errors


class MongoStorage:
    """An open MongoDB database.

    Args:
        engine: The client of the application's role.
        owner: Where migrations connect; the same if the role may change the schema.
    """

    def __init__(self, engine: Engine, *, owner: Engine | None = None) -> None:
        self.engine = engine
        self._owner = owner or engine
        self._shapes: dict[type[Document], DocumentShape[Any]] = {}
        self._seats: dict[str, Seat] = {}

    def ledger(self, book: str = "main") -> LedgerStorage:
        """Return a book."""
        if book not in self._seats:
            self._seats[book] = Seat(self.engine, f"book_{book}_head")
        return MongoLedger(self.engine, self._seats[book], book)

    def documents(self, model: type[D]) -> MongoCollection[D]:
        """Return the collection of `model`."""
        return MongoCollection(self._shape(model), Single(self.engine))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator["MongoTransaction"]:
        """Begin a document transaction; commit on leaving, roll back on an exception.

        Raises:
            StorageUnavailable: The connection was lost. Raised from leaving
                the block, the outcome is unknown.
        """
        with translate_errors():
            async with self.engine.session() as session:
                await session.start_transaction()
                runner = TransactionRunner(self.engine, session)
                try:
                    yield MongoTransaction(self, runner)
                    await to_the_end(runner.commit())
                finally:
                    if session.in_transaction:
                        await to_the_end(session.abort_transaction())

    async def migrate(self, models: Iterable[type[Document]]) -> list[str]:
        """Bring the schema up to date, add the indexes that `models` declare, return what was done.

        Raises:
            StorageUnavailable: The owner cannot connect or lacks the right.
        """
        shapes = [self._shape(model) for model in models]
        with translate_errors():
            async with self._owner.patient() as database:
                return await migrate(database, shapes)

    async def ping(self) -> None:
        """Ask the primary for an answer.

        Raises:
            StorageUnavailable: There is none.
        """
        await self.engine.ping()

    async def close(self) -> None:
        """Close every connection. Safe to call twice."""
        await self.engine.close()

    def _shape(self, model: type[D]) -> DocumentShape[D]:
        """Return the shape of a model, made once."""
        if model not in self._shapes:
            self._shapes[model] = DocumentShape(model)
        return self._shapes[model]


class MongoTransaction:
    """Documents that change together, in one session."""

    def __init__(self, storage: MongoStorage, runner: TransactionRunner) -> None:
        self._storage = storage
        self._runner = runner

    def documents(self, model: type[D]) -> MongoCollection[D]:
        """Return the collection of `model`, inside this transaction."""
        return MongoCollection(self._storage._shape(model), self._runner)  # noqa: SLF001
