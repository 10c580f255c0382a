"""Connections: pinned, checked, translated, and made again when the server has been away."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from guilder.storage import open_storage
from guilder.storage.embedded import EmbeddedPostgres, free_port
from guilder.storage.embedded_files import APPLICATION, OWNER
from guilder.storage.errors import StorageUnavailable, UnsafeDatabase
from guilder.storage.postgres import engine as engine_module
from guilder.storage.postgres.engine import Engine
from guilder.storage.postgres.storage import PostgresStorage
from tests.support.databases import Database, reachable_directory, url_of
from tests.support.models import Parcel, parcel


@pytest.fixture
def engine(postgresql_storage: PostgresStorage) -> Engine:
    return postgresql_storage.engine


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("TimeZone", "UTC"),
        ("statement_timeout", "5s"),
        ("lock_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("synchronous_commit", "on"),
        ("default_transaction_isolation", "read committed"),
        ("client_connection_check_interval", "1s"),
    ],
)
async def test_every_connection_is_pinned_and_stays_so(
    engine: Engine, setting: str, value: str
) -> None:
    for _ in range(3):
        async with engine.acquire() as connection:
            found = await connection.fetchval("SELECT current_setting($1)", setting)
            assert found == value


async def test_a_cancellation_leaves_nothing_begun(engine: Engine) -> None:
    """asyncpg ends the sequence with the execution; some cancellations fall before it."""

    async def prepare_and_fail(error: BaseException) -> None:
        async with engine.acquire() as connection:
            await connection.prepare("SELECT oid FROM pg_class")
            raise error

    for error in (asyncio.CancelledError(), ValueError("unfit")):
        with pytest.raises(type(error)):
            await prepare_and_fail(error)
        async with (
            engine.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            assert await connection.fetchval("SELECT 1") == 1


async def test_a_statement_that_takes_too_long_is_unavailable(engine: Engine) -> None:

    async def take_too_long() -> None:
        async with engine.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = '20ms'")
            await connection.execute("SELECT pg_sleep(5)")

    with pytest.raises(StorageUnavailable):
        await take_too_long()
    async with engine.acquire() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_full_pool_is_unavailable(
    new_postgresql_storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with contextlib.AsyncExitStack() as held:
        for _ in range(10):
            await held.enter_async_context(new_postgresql_storage.engine.acquire())
        monkeypatch.setattr(engine_module, "_ACQUIRE_TIMEOUT_S", 1 / 20)
        with pytest.raises(StorageUnavailable):
            await new_postgresql_storage.ping()
    monkeypatch.undo()
    await new_postgresql_storage.ping()


async def test_a_connection_ended_by_the_server_is_unavailable_and_replaced(
    new_postgresql_storage: PostgresStorage, postgresql: object
) -> None:

    async def be_ended() -> None:
        async with new_postgresql_storage.engine.acquire() as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(StorageUnavailable):
        await be_ended()
    await new_postgresql_storage.ping()


async def test_broken_constraints_are_not_unavailability(engine: Engine) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        async with engine.acquire() as connection:
            await connection.execute("UPDATE book_main.head SET position = -1")


async def test_nobody_there() -> None:
    with pytest.raises(StorageUnavailable):
        await open_storage(f"postgresql://somebody:secret@127.0.0.1:{free_port()}/guilder")


async def test_a_wrong_password_is_said_without_repeating_it(database: Database) -> None:
    role = urlsplit(database.url).username
    url = database.url.replace(f"://{role}:", f"://{role}:wrong-")
    with pytest.raises(StorageUnavailable, match="refused the connection") as caught:
        await open_storage(url)
    assert "wrong-" not in str(caught.value)


async def test_an_unknown_database_is_said(database: Database) -> None:
    with pytest.raises(StorageUnavailable, match="does not exist"):
        await open_storage(database.url.rpartition("/")[0] + "/nowhere")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE book_main.transfers SET amount_minor = 1",
        "DELETE FROM book_main.transfers",
        "TRUNCATE book_main.transfers",
        "DELETE FROM book_main.accounts",
        "TRUNCATE book_main.accounts",
        "DELETE FROM book_main.head",
        "DELETE FROM book_main.holds",
        "ALTER TABLE book_main.transfers DISABLE TRIGGER ALL",
        "ALTER TABLE book_main.accounts DROP CONSTRAINT covered",
        "DROP TABLE book_main.transfers",
        "DROP SCHEMA book_main CASCADE",
        "CREATE TABLE book_main.more (a int)",
        "CREATE TABLE documents.more (a int)",
        "CREATE TABLE public.more (a int)",
        "CREATE SCHEMA more",
        "DELETE FROM guilder.schema_migrations",
        "SET session_replication_role = replica",
        "ALTER SYSTEM SET fsync = off",
    ],
)
async def test_asvs_13_2_2_the_applications_role_cannot(engine: Engine, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with engine.acquire() as connection:
            await connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE book_main.transfers SET amount_minor = 1",
        "DELETE FROM book_main.transfers",
        "TRUNCATE book_main.transfers",
    ],
)
async def test_the_owner_meets_the_journals_triggers(database: Database, statement: str) -> None:
    connection = await asyncpg.connect(database.owner_url)
    try:
        async with connection.transaction():
            await _add_transfer(connection)
            with pytest.raises(asyncpg.RestrictViolationError):
                async with connection.transaction():
                    await connection.execute(statement)
    finally:
        await connection.close()


async def _add_transfer(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Insert a row of plausible values for every column that has no default."""
    await connection.execute(
        """
        INSERT INTO book_main.transfers SELECT (jsonb_populate_record(
            NULL::book_main.transfers,
            (SELECT jsonb_object_agg(attname, CASE
                WHEN atttypid = 'bytea'::regtype THEN '\\x' || repeat('00', 32)
                WHEN atttypid = 'uuid'::regtype THEN
                    lpad(attnum::text, 8, '0') || '-0000-7000-8000-000000000000'
                WHEN atttypid = 'timestamptz'::regtype THEN '2026-01-01T00:00:00Z'
                WHEN atttypid = 'jsonb'::regtype THEN '{}'
                ELSE '1' END)
            FROM pg_attribute
            WHERE attrelid = 'book_main.transfers'::regclass AND attnum > 0 AND NOT attisdropped)
        )).*
        """
    )


@pytest.fixture
async def own_server() -> AsyncIterator[EmbeddedPostgres]:
    """A server that this test may kill."""
    with reachable_directory() as directory:
        server = EmbeddedPostgres(directory / "data")
        await server.start()
        yield server
        await server.stop()


async def test_after_a_kill_of_the_server_calls_work_again(own_server: EmbeddedPostgres) -> None:
    engine = Engine(lambda: own_server.connect_arguments(APPLICATION))
    await engine.open()
    storage = PostgresStorage(engine, owner=lambda: own_server.connect_arguments(OWNER))
    await storage.migrate([Parcel])
    written = parcel()
    await storage.documents(Parcel).insert(written)

    killed = own_server.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    async with asyncio.timeout(30):
        while own_server.pid in {killed, None}:
            await asyncio.gather(storage.ping(), asyncio.sleep(1 / 100), return_exceptions=True)
        while True:
            try:
                assert await storage.documents(Parcel).get(written.id) == written
                break
            except StorageUnavailable:
                await asyncio.sleep(1 / 100)
    await storage.close()


async def test_while_the_server_is_away_calls_are_unavailable(
    own_server: EmbeddedPostgres,
) -> None:
    engine = Engine(lambda: own_server.connect_arguments(APPLICATION))
    await engine.open()
    await own_server.stop()
    storage = PostgresStorage(engine, owner=lambda: own_server.connect_arguments(OWNER))
    for call in (storage.ping(), storage.migrate([])):
        with pytest.raises(StorageUnavailable):
            await call
    await storage.close()


class UnsafeServer(EmbeddedPostgres):
    """A server with settings that the launcher would never give."""

    def unsafe(self, **settings: str) -> None:
        self._settings |= settings


@pytest.fixture(scope="module")
async def unsafe_directory() -> AsyncIterator[Path]:
    with reachable_directory() as directory:
        yield directory


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("synchronous_commit", "off"),
        ("synchronous_commit", "local"),
        ("data_sync_retry", "on"),
    ],
)
async def test_unsafe_settings_are_refused(
    unsafe_directory: Path, setting: str, value: str
) -> None:
    server = UnsafeServer(unsafe_directory / "data")
    server.unsafe(**{setting: value})
    await server.start()
    try:
        url = url_of(server, OWNER)
        with pytest.raises(UnsafeDatabase, match=f"{setting} is {value}"):
            await open_storage(url)
        other = {"fsync", "full_page_writes", "synchronous_commit", "data_sync_retry"} - {setting}
        with pytest.raises(UnsafeDatabase):
            await open_storage(url, accepted_settings=other)
        storage = await open_storage(url, accepted_settings={setting})
        await storage.close()
    finally:
        await server.stop()


async def test_a_session_default_of_the_role_is_seen(database: Database) -> None:
    """Any role may switch `synchronous_commit` off; the check looks at what the session has."""
    connection = await asyncpg.connect(database.owner_url)
    at = urlsplit(database.url)
    await connection.execute(
        f"ALTER ROLE {at.username} IN DATABASE {at.path[1:]} SET synchronous_commit = off"
    )
    await connection.close()
    with pytest.raises(UnsafeDatabase, match="synchronous_commit is off"):
        await open_storage(database.url)


async def test_closing_twice_is_fine(database: Database) -> None:
    storage = await open_storage(database.url)
    await storage.close()
    await storage.close()


async def test_an_external_database_under_one_url_works(database: Database) -> None:
    storage = await open_storage(database.owner_url)
    try:
        assert "documents.parcels" in await storage.migrate([Parcel])
        written = parcel()
        await storage.documents(Parcel).insert(written)
        assert await storage.documents(Parcel).get(written.id) == written
    finally:
        await storage.close()
