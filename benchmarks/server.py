"""The database under measurement: one bundled PostgreSQL, on which pgbench runs as well."""

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg

from guilder.app.features import MODELS
from guilder.storage import open_storage
from guilder.storage.base import Storage
from guilder.storage.embedded import EmbeddedPostgres
from guilder.storage.embedded_files import OWNER, installed_programs

PGBENCH_SCALE = 20
PGBENCH_CLIENTS = 20
PGBENCH_S = 6
_TPS = re.compile(r"tps = ([0-9.]+)")


@contextlib.contextmanager
def reachable_directory() -> Iterator[Path]:
    """Lend a directory that the server's account can reach also when we are root."""
    directory = Path(tempfile.mkdtemp(prefix="guilder-bench-"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Server:
    """A running PostgreSQL with Guilder's durable settings, and pgbench beside it."""

    engine = "postgresql"

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self._databases = 0

    async def execute(self, sql: str, *, database: str = "postgres") -> None:
        """Run a statement as the owner."""
        arguments = self._postgres.connect_arguments(OWNER, database=database)
        connection = await asyncpg.connect(**arguments)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def storage(self) -> AsyncIterator[tuple[Storage, str]]:
        """Lend open storage on a new, migrated database, and its url."""
        self._databases += 1
        name = f"bench_{self._databases}"
        await self.execute(f"CREATE DATABASE {name}")
        url = self.url(name)
        storage = await open_storage(url)
        try:
            await storage.migrate(MODELS)
            yield storage, url
        finally:
            await storage.close()
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def settle(self) -> None:
        """Do nothing: what this server puts off falls on pgbench and the ledger alike."""

    async def version(self) -> str:
        """Return the server's version."""
        connection = await asyncpg.connect(**self._postgres.connect_arguments(OWNER))
        try:
            return str(await connection.fetchval("SHOW server_version"))
        finally:
            await connection.close()

    def url(self, database: str) -> str:
        """Return the address of a database, as its owner."""
        to = self._postgres.connect_arguments(OWNER, database=database)
        return f"postgresql://{to['user']}:{to['password']}@{to['host']}:{to['port']}/{database}"

    async def prepare_pgbench(self) -> None:
        """Fill pgbench's tables."""
        await self.execute("CREATE DATABASE pgbench")
        await self._pgbench("--initialize", "--quiet", f"--scale={PGBENCH_SCALE}")

    async def pgbench_tps(self) -> float:
        """Return how many TPC-B transactions this server commits in a second, right now."""
        output = await self._pgbench(
            f"--client={PGBENCH_CLIENTS}", "--jobs=2", "--protocol=prepared", f"--time={PGBENCH_S}"
        )
        found = _TPS.search(output)
        if found is None:
            message = f"pgbench told no figure: {output}"
            raise RuntimeError(message)
        return float(found.group(1))

    async def _pgbench(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            installed_programs() / "pgbench",
            *arguments,
            self.url("pgbench"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return output.decode()


@contextlib.asynccontextmanager
async def running_server() -> AsyncIterator[Server]:
    """Run a PostgreSQL of its own for the time of the measurement."""
    with reachable_directory() as directory:
        postgres = EmbeddedPostgres(directory / "data")
        await postgres.start()
        try:
            server = Server(postgres)
            await server.prepare_pgbench()
            yield server
        finally:
            await postgres.stop()


async def fsync_ms(directory: Path) -> float:
    """Return the median time to make one page durable on this disk."""
    return await asyncio.to_thread(_fsync_ms, directory)


def _fsync_ms(directory: Path) -> float:
    times = []
    with (directory / "fsync").open("wb", buffering=0) as file:
        for _ in range(200):
            file.seek(0)
            file.write(bytes(8192))
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - started) * 1000)
    return sorted(times)[len(times) // 2]
