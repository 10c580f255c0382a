"""Databases for tests: one server for the session, and on it an emptied or a new database each."""

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from guilder.kernel.errors import InvariantViolation
from guilder.storage import open_storage
from guilder.storage.base import Storage
from guilder.storage.embedded import EmbeddedPostgres
from guilder.storage.embedded_files import APPLICATION, OWNER
from guilder.storage.errors import StorageUnavailable

ENGINES = tuple(os.environ.get("GUILDER_TEST_ENGINES", "postgresql,mongodb").split(","))
"""Every test with `server`, `storage` or what is built on them runs on each of these. They are the
names of the fixtures that have the servers. `GUILDER_TEST_ENGINES=postgresql` is for a quick look.
"""
EXTERNAL_URL = "GUILDER_TEST_DATABASE_URL"
"""Environment variable: owner's url of a PostgreSQL to test on instead of the bundled one. The role
creates databases and roles."""


_EMPTY = """
DO $$
DECLARE place record;
BEGIN
    FOR place IN
        SELECT schemaname AS schema, tablename AS name FROM pg_tables
        WHERE schemaname = 'documents' OR (schemaname LIKE 'book\\_%' AND tablename <> 'head')
    LOOP
        IF place.name = 'transfers' THEN
            EXECUTE format('ALTER TABLE %I.transfers DISABLE TRIGGER USER', place.schema);
        END IF;
        EXECUTE format('DELETE FROM %I.%I', place.schema, place.name);
        IF place.name = 'transfers' THEN
            EXECUTE format('ALTER TABLE %I.transfers ENABLE TRIGGER USER', place.schema);
            EXECUTE format(
                'UPDATE %I.head SET position = 0, revision = 0, hash = decode(%L, %L)',
                place.schema, repeat('00', 32), 'hex'
            );
        END IF;
    END LOOP;
END $$
"""


@dataclass(frozen=True, slots=True)
class Database:
    """Urls of one database, for the two roles; both the same where there is one role."""

    url: str
    owner_url: str


class Server(Protocol):
    """A database server of either engine that gives out migrated databases without any content."""

    def database(self) -> AbstractAsyncContextManager[Database]:
        """Lend a database; it is dropped in the end."""

    def storage(self) -> AbstractAsyncContextManager[Storage]:
        """Lend an open storage on a database of its own."""

    def shared_storage(self) -> AbstractAsyncContextManager[Storage]:
        """Lend the storage that most tests share; it is emptied in the end."""


class DatabaseServer:
    """A PostgreSQL server that gives out migrated databases without any content.

    Making a database takes a tenth of a second, emptying one a hundredth. So most tests share one.
    """

    def __init__(self, app_url: str, owner_url: str) -> None:
        self._app_url = app_url
        self._owner_url = owner_url
        self._names = (f"test_{os.getpid()}_{number}" for number in itertools.count(1))
        self._template = ""
        self._shared: Storage | None = None
        self._shared_name = ""

    @contextlib.asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """Lend a database; it is dropped in the end, whoever is still connected."""
        if not self._template:
            self._template = await self._make_template()
        name = next(self._names)
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        try:
            yield self._urls(name)
        finally:
            await self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextlib.asynccontextmanager
    async def storage(self) -> AsyncIterator[Storage]:
        """Lend an open storage on a database of its own."""
        async with self.database() as database:
            storage = await open_storage(database.url, owner_url=database.owner_url)
            try:
                yield storage
            finally:
                await storage.close()

    @contextlib.asynccontextmanager
    async def shared_storage(self) -> AsyncIterator[Storage]:
        """Lend the storage that most tests share; it is emptied in the end. Tables stay."""
        if not self._shared_name:
            name = next(self._names)
            self._template = self._template or await self._make_template()
            await self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
            self._shared_name = name
        self._shared = await still_usable(self._shared)
        if self._shared is None:
            database = self._urls(self._shared_name)
            self._shared = await open_storage(database.url, owner_url=database.owner_url)
        try:
            yield self._shared
        finally:
            await self._execute(_EMPTY, database=self._shared_name)

    async def close(self) -> None:
        """Drop what is shared between the tests."""
        if self._shared is not None:
            await self._shared.close()
        if self._shared_name:
            await self._execute(f"DROP DATABASE {self._shared_name} WITH (FORCE)")
        if self._template:
            await self._execute(f"DROP DATABASE {self._template} WITH (FORCE)")

    async def _make_template(self) -> str:
        name = f"test_{os.getpid()}_template"
        await self._execute(f"CREATE DATABASE {name}")
        database = self._urls(name)
        storage = await open_storage(database.url, owner_url=database.owner_url)
        try:
            await storage.migrate([])
        finally:
            await storage.close()
        return name

    def _urls(self, name: str) -> Database:
        return Database(_with_path(self._app_url, name), _with_path(self._owner_url, name))

    async def _execute(self, sql: str, *, database: str = "postgres") -> None:
        connection = await asyncpg.connect(
            _with_path(self._owner_url, database), server_settings={"synchronous_commit": "off"}
        )
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


async def still_usable(storage: Storage | None) -> Storage | None:
    """Return the storage if a test has left it usable; else close it, as a new one takes its place.

    Found so: on a busy machine the ping took too long, and what nobody closed failed a later test.
    """
    if storage is None:
        return None
    try:
        await storage.ping()
    except (StorageUnavailable, InvariantViolation):
        await storage.close()
        return None
    return storage


def _with_path(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def url_of(server: EmbeddedPostgres, role: str, database: str = "guilder") -> str:
    """Return the url at which a role reaches a bundled server."""
    found = server.connect_arguments(role, database=database)
    return "postgresql://{user}:{password}@{host}:{port}/{database}".format_map(found)


async def ask(server: EmbeddedPostgres, sql: str, role: str = OWNER) -> object:
    """Ask a bundled server one question as `role`."""
    connection = await asyncpg.connect(**server.connect_arguments(role))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@contextlib.contextmanager
def reachable_directory() -> Iterator[Path]:
    """Lend a short temporary directory that an unprivileged account can pass through."""
    directory = Path(tempfile.mkdtemp(prefix="guilder-"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextlib.asynccontextmanager
async def database_server() -> AsyncIterator[DatabaseServer]:
    """Start the bundled server, or use the one that the environment names."""
    external = os.environ.get(EXTERNAL_URL)
    if external:
        server = DatabaseServer(await _application_url(external), external)
        yield server
        await server.close()
        return
    with reachable_directory() as directory:
        # Several Guilders and hundreds of racers at once.
        embedded = EmbeddedPostgres(directory / "data", settings={"max_connections": "400"})
        await embedded.start()
        try:
            server = DatabaseServer(url_of(embedded, APPLICATION), url_of(embedded, OWNER))
            yield server
            await server.close()
        finally:
            await embedded.stop()


async def _application_url(owner_url: str) -> str:
    """Make the application's role on an external server and return its url."""
    role, password = "guilder_test_app", "guilder-test"
    connection = await asyncpg.connect(owner_url)
    try:
        with contextlib.suppress(asyncpg.DuplicateObjectError):
            await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    finally:
        await connection.close()
    parts = urlsplit(owner_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{host}"))
