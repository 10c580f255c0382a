"""The PostgreSQL side of the door: one open database."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

import asyncpg

from guilder.storage.base import D, Document, LedgerStorage
from guilder.storage.embedded import EmbeddedPostgres
from guilder.storage.errors import StorageUnavailable
from guilder.storage.postgres.document_table import DocumentTable
from guilder.storage.postgres.documents import PostgresCollection
from guilder.storage.postgres.engine import Address, Engine, owner_connection, translate_errors
from guilder.storage.postgres.ledger import PostgresLedger
from guilder.storage.postgres.migrate import migrate

if TYPE_CHECKING:
    from guilder.storage.postgres.engine import Connection


class PostgresStorage:
    """An open PostgreSQL database.

    Args:
        engine: Connections of the application's role.
        owner: Where the schema's owner connects, for migrations.
        server: The bundled server, if it is ours to stop.
    """

    def __init__(
        self, engine: Engine, *, owner: Address, server: EmbeddedPostgres | None = None
    ) -> None:
        self.engine = engine
        self.server = server
        self._owner = owner
        self._tables: dict[type[Document], DocumentTable] = {}

    def ledger(self, book: str = "main") -> LedgerStorage:
        """Return a book."""
        return PostgresLedger(self.engine, book)

    def documents(self, model: type[D]) -> PostgresCollection[D]:
        """Return the collection of `model`."""
        return PostgresCollection(model, self._table(model), self.engine.acquire)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator["PostgresTransaction"]:
        """Begin a document transaction; commit on leaving, roll back on an exception.

        Raises:
            StorageUnavailable: The connection was lost. Raised from leaving
                the block, the outcome is unknown.
        """
        async with self.engine.acquire() as connection, connection.transaction():
            yield PostgresTransaction(self, connection)

    async def migrate(self, models: Iterable[type[Document]]) -> list[str]:
        """Bring the schema up to date, add the indexes that `models` declare, return what was done.

        Raises:
            StorageUnavailable: The owner cannot connect or lacks the right, or a
                lock was held for too long.
        """
        tables = [self._table(model) for model in models]
        async with self.engine.acquire() as connection:
            role = await connection.fetchval("SELECT current_user")
        try:
            async with owner_connection(self._owner) as owner:
                return await migrate(owner, tables, application_role=role)
        except asyncpg.InsufficientPrivilegeError as error:
            raise StorageUnavailable(
                f"The role may not change the schema: {error}. Give the url of the schema's owner."
            ) from error

    async def ping(self) -> None:
        """Ask the database for an answer.

        Raises:
            StorageUnavailable: There is none.
        """
        async with self.engine.acquire() as connection:
            await connection.execute("SELECT 1")

    async def close(self) -> None:
        """Close every connection; stop the server if it is ours. Safe to call twice."""
        await self.engine.close()
        if self.server is not None:
            await self.server.stop()

    def _table(self, model: type[Document]) -> DocumentTable:
        """Return the table of a model, made once."""
        if model not in self._tables:
            self._tables[model] = DocumentTable(model)
        return self._tables[model]


class PostgresTransaction:
    """Documents that change together, on one connection."""

    def __init__(self, storage: PostgresStorage, connection: "Connection") -> None:
        self._storage = storage
        self._connection = connection

    def documents(self, model: type[D]) -> PostgresCollection[D]:
        """Return the collection of `model`, inside this transaction."""
        return PostgresCollection(model, self._storage._table(model), self._acquire)  # noqa: SLF001

    @contextlib.asynccontextmanager
    async def _acquire(self) -> AsyncIterator["Connection"]:
        """Lend the transaction's own connection."""
        with translate_errors():
            yield self._connection
