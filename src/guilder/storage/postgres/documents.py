"""Typed documents in tables of JSONB, each call one statement."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Generic

import asyncpg
import msgspec

from guilder.kernel.errors import InvalidRequest, check
from guilder.storage.base import D, Range, Scalar
from guilder.storage.errors import DuplicateDocument, VersionConflict
from guilder.storage.postgres.document_table import DocumentTable, Query, encode

if TYPE_CHECKING:
    from guilder.storage.postgres.engine import Connection

    Acquire = Callable[[], AbstractAsyncContextManager[Connection]]


class PostgresCollection(Generic[D]):
    """The documents of one model.

    Args:
        table: The model's table.
        acquire: Lends the connection: one of the pool, or a transaction's own.
    """

    def __init__(self, model: type[D], table: DocumentTable, acquire: "Acquire") -> None:
        self._model = model
        self._table = table
        self._acquire = acquire
        self._decoder = msgspec.json.Decoder(model)

    async def insert(self, document: D) -> None:
        """Add a document.

        Raises:
            DuplicateDocument: Its id or a unique index has it.
            InvalidRequest: A text in it holds a NUL character.
        """
        check(document.version == 1, "a new document has version 1")
        await self._write(self._table.insert, document.id, 1, encode(document))

    async def get(self, document_id: str) -> D | None:
        """Return the document with that id."""
        return await self._fetch_one(Query(self._table.get, (document_id,)))

    async def get_many(self, document_ids: Sequence[str]) -> dict[str, D]:
        """Return the documents with those ids, by id; missing ones are left out."""
        if not document_ids:
            return {}
        found = await self._fetch(Query(self._table.get_many, (list(document_ids),)))
        return {document.id: document for document in found}

    async def find_one(self, equal: Mapping[str, Scalar]) -> D | None:
        """Return the document that a unique index has under these values (all its fields)."""
        return await self._fetch_one(self._table.find_one(equal))

    async def find_many(self, field: str, values: Sequence[str]) -> dict[str, D]:
        """Return the documents that the unique index of one field has under these values."""
        if not values:
            return {}
        found = await self._fetch(self._table.find_many(field, values))
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
        query = self._table.page(
            equal, within=within, after=after, descending=descending, limit=limit
        )
        return await self._fetch(query)

    async def replace(self, document: D) -> D:
        """Write a document back and return it with its version raised.

        Raises:
            VersionConflict: The stored version is not `document.version`, or there is none.
            DuplicateDocument: A unique index has it.
            InvalidRequest: A text in it holds a NUL character.
        """
        raised = msgspec.structs.replace(document, version=document.version + 1)
        done = await self._write(self._table.replace, document.id, document.version, encode(raised))
        if done != "UPDATE 1":
            raise VersionConflict
        return raised

    async def delete(self, document_id: str) -> bool:
        """Remove a document; tell whether there was one."""
        return await self._write(self._table.delete, document_id) == "DELETE 1"

    async def _write(self, sql: str, *parameters: object) -> str:
        """Run a statement that changes something; return its command tag."""
        try:
            async with self._acquire() as connection:
                return await connection.execute(sql, *parameters)
        except asyncpg.UniqueViolationError as error:
            raise DuplicateDocument(self._table.index_of(error.constraint_name)) from error
        except (asyncpg.UntranslatableCharacterError, asyncpg.CharacterNotInRepertoireError):
            raise InvalidRequest("A text holds a NUL character, which is not stored.") from None

    async def _fetch(self, query: Query) -> list[D]:
        """Run a query."""
        try:
            async with self._acquire() as connection:
                rows = await connection.fetch(query.sql, *query.parameters)
        except asyncpg.CharacterNotInRepertoireError:
            return []  # No stored text holds a NUL character.
        return [self._decoder.decode(row[0]) for row in rows]

    async def _fetch_one(self, query: Query) -> D | None:
        """Run a query that has at most one result."""
        found = await self._fetch(query)
        check(len(found) <= 1, "a unique index has at most one document")
        return found[0] if found else None
