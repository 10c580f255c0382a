"""The database of a bank under kill -9, of either engine: how it dies, and how it is looked into
past Guilder's own code."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import asyncpg
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from guilder.storage.embedded import EmbeddedPostgres
from guilder.storage.embedded_files import APPLICATION, OWNER
from tests.support.databases import reachable_directory, url_of
from tests.support.kills import AWAY, cut_connections, kill_database
from tests.support.mongo import Mongod, eventually, replica_set
from tests.support.planted import FORGETFUL_SETTINGS, NO_UNIQUE_ID, UNCONSTRAINED

GONE = (*AWAY, PyMongoError)
"""What a driver raises when the server goes in the middle of something."""
BREAKS = 4
"""Commands that a MongoDB server answers by hanging up: it cannot end connections otherwise."""

_TOTAL = """
SELECT sum(posted), min(posted) FROM book_main.balances
WHERE account_id = ANY($1::uuid[])
"""


class Totals(NamedTuple):
    """Read at one moment."""

    total: int
    least: int


class Stored(NamedTuple):
    """What the database has."""

    transfers: Counter[UUID]
    """Ids of the bank's transfers, and how often each is there."""
    positions: tuple[int, int, int]
    """Of the whole journal: how many, the last one, how many different."""
    posted: dict[UUID, int]
    """Balance of every account."""


class BankServer(Protocol):
    """A database that may be killed. It comes back by itself, on the same data and address."""

    url: str
    owner_url: str

    async def kill(self) -> None:
        """End every process of it at once."""

    async def cut_connections(self) -> None:
        """End the connections of its clients."""

    def totals(
        self, ids: Sequence[UUID]
    ) -> AbstractAsyncContextManager[Callable[[], Awaitable[Totals]]]:
        """Lend a function that reads the balances of accounts at one moment."""

    async def stored(self) -> Stored:
        """Return everything."""

    async def take_away_what_hinders(self, fault: str) -> None:
        """Remove what would keep a planted fault from showing."""


class PostgresBank:
    """The bundled PostgreSQL, which starts again by itself."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self.url, self.owner_url = url_of(server, APPLICATION), url_of(server, OWNER)

    async def kill(self) -> None:
        kill_database(self._server.layout.data)

    async def cut_connections(self) -> None:
        await cut_connections(self._server)

    @contextlib.asynccontextmanager
    async def totals(self, ids: Sequence[UUID]) -> AsyncIterator[Callable[[], Awaitable[Totals]]]:
        connection = await asyncpg.connect(
            **self._server.connect_arguments(OWNER),
            server_settings={"default_transaction_read_only": "on"},
            timeout=5,
            command_timeout=5,
        )

        async def read() -> Totals:
            total, least = await connection.fetchrow(_TOTAL, ids)
            return Totals(int(total), least)

        try:
            yield read
        finally:
            connection.terminate()

    async def stored(self) -> Stored:
        connection = await asyncpg.connect(**self._server.connect_arguments(OWNER))
        try:
            rows = await connection.fetch("SELECT id FROM book_main.transfers WHERE code = 'bank'")
            positions = await connection.fetchrow(
                "SELECT count(*), coalesce(max(position), 0), count(DISTINCT position) "
                "FROM book_main.transfers"
            )
            balances = await connection.fetch("SELECT account_id, posted FROM book_main.balances")
        finally:
            await connection.close()
        return Stored(
            Counter(row["id"] for row in rows),
            tuple(positions),
            {row["account_id"]: row["posted"] for row in balances},
        )

    async def take_away_what_hinders(self, fault: str) -> None:
        connection = await asyncpg.connect(**self._server.connect_arguments(OWNER))
        for statement in UNCONSTRAINED.get(fault, ()):
            await connection.execute(statement)
        await connection.close()


class MongoBank:
    """A replica set of one process, started again as soon as it is killed."""

    def __init__(self, server: Mongod, url: str) -> None:
        self._server = server
        self.url = self.owner_url = url.replace("/?", "/guilder?")

    async def kill(self) -> None:
        await asyncio.to_thread(self._server.kill)
        self._server.start()

    async def cut_connections(self) -> None:
        async with self._client() as client:
            hang_up = {
                "failCommands": ["find", "findAndModify", "insert", "update", "commitTransaction"],
                "closeConnection": True,
                "appName": "guilder",
            }
            await eventually(
                lambda: client.admin.command(
                    "configureFailPoint", "failCommand", mode={"times": BREAKS}, data=hang_up
                )
            )

    @contextlib.asynccontextmanager
    async def totals(self, ids: Sequence[UUID]) -> AsyncIterator[Callable[[], Awaitable[Totals]]]:
        async with self._client() as client:
            accounts = client.guilder.get_collection(
                "book_main_accounts", read_concern=ReadConcern("snapshot")
            )

            async def read() -> Totals:
                found = await accounts.find({"_id": {"$in": ids}}, {"posted": 1}).to_list()
                posted = [each["posted"] for each in found]
                return Totals(sum(posted), min(posted))

            yield read

    async def stored(self) -> Stored:
        async with self._client() as client:
            books = client.guilder.with_options(read_concern=ReadConcern("majority"))
            lines = await books.book_main_transfers.find({}, {"id": 1, "code": 1}).to_list()
            accounts = await books.book_main_accounts.find({}, {"posted": 1}).to_list()
        positions = [line["_id"] for line in lines]
        return Stored(
            Counter(line["id"] for line in lines if line["code"] == "bank"),
            (len(positions), max(positions, default=0), len(set(positions))),
            {account["_id"]: account["posted"] for account in accounts},
        )

    async def take_away_what_hinders(self, fault: str) -> None:
        if fault == NO_UNIQUE_ID:
            async with self._client() as client:
                await client.guilder.book_main_transfers.drop_indexes()

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            self.url,
            uuidRepresentation="standard",
            serverSelectionTimeoutMS=20_000,
            socketTimeoutMS=5_000,
        )
        try:
            yield client
        finally:
            await client.close()


@contextlib.asynccontextmanager
async def postgres_bank(fault: str | None) -> AsyncIterator[PostgresBank]:
    """Start a PostgreSQL of its own, on which a planted fault shows soon."""
    settings = {"shared_buffers": "64MB", **FORGETFUL_SETTINGS} if fault else {}
    with reachable_directory() as directory:
        server = EmbeddedPostgres(directory / "data", settings=settings)
        await server.start()
        try:
            yield PostgresBank(server)
        finally:
            await server.stop()


@contextlib.asynccontextmanager
async def mongo_bank(_fault: str | None) -> AsyncIterator[MongoBank]:
    """Start a MongoDB of its own."""
    async with replica_set(1, settings={"electionTimeoutMillis": 1000}) as made:
        yield MongoBank(made.members[0], made.url)


SERVERS: dict[str, Callable[[str | None], AbstractAsyncContextManager[BankServer]]] = {
    "postgresql": postgres_bank,
    "mongodb": mongo_bank,
}
"""By engine."""
