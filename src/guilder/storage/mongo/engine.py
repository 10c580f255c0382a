"""Connections to MongoDB: one client, checked and pinned, and the sessions of its transactions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

import pymongo
from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.client_session_shared import TransactionOptions
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError
from pymongo.read_concern import ReadConcern

from guilder.kernel.errors import InvalidRequest, check
from guilder.storage.mongo.server_check import check_config, check_hello, read_config
from guilder.storage.mongo.translate import translate_errors

T = TypeVar("T")
Body = dict[str, Any]
Database = AsyncDatabase[Body]
Session = AsyncClientSession

DEFAULT_DATABASE = "guilder"
WRITE_TIMEOUT_MS = 10_000
_OPEN_TIMEOUT_S = 5
_PING_TIMEOUT_S = 3
COMMIT_FOR_S = 10
"""A commit whose answer was lost is asked about for so long; then its outcome is unknown."""
READ_TIMEOUT_MS = 5_000

# What the books depend on. No url overrides it.
_PINNED: Mapping[str, Any] = {
    "appname": "guilder",
    "w": "majority",
    "journal": True,
    "wTimeoutMS": WRITE_TIMEOUT_MS,
    "readConcernLevel": "majority",
    "readPreference": "primary",
    "retryWrites": True,
    "retryReads": True,
    "tz_aware": True,
    "uuidRepresentation": "standard",
}
# What a url may say otherwise. Choosing a server takes longer than an election does by default;
# a primary that hangs without closing its connections is noticed by the heartbeat, within the sum
# of its interval and the time-out of a connection: less than five seconds.
_DEFAULTS: Mapping[str, Any] = {
    "serverSelectionTimeoutMS": 12_000,
    "connectTimeoutMS": 2_500,
    "socketTimeoutMS": 15_000,
    "waitQueueTimeoutMS": 5_000,
    "heartbeatFrequencyMS": 2_000,
}

SNAPSHOT = ReadConcern("snapshot")
_DURABLE = WriteConcern("majority", j=True, wtimeout=WRITE_TIMEOUT_MS)
# Concerns of a collection are ignored inside a transaction, so they are set on it.
_TRANSACTION = TransactionOptions(
    read_concern=SNAPSHOT,
    write_concern=_DURABLE,
    read_preference=ReadPreference.PRIMARY,
    max_commit_time_ms=WRITE_TIMEOUT_MS,
)


class Engine:
    """A client for one database.

    Args:
        url: `mongodb://...`; its path names the database, `guilder` if it has none.
        accepted: Unsafe settings that the operator answers for.
        pool_size: Most connections at once to each server.
    """

    def __init__(
        self, url: str, *, accepted: AbstractSet[str] = frozenset(), pool_size: int = 10
    ) -> None:
        self._url = url
        self._accepted = accepted
        self._pool_size = pool_size
        self._client: AsyncMongoClient[Body] | None = None
        self.name = ""

    async def open(self) -> None:
        """Connect for the first time.

        Raises:
            InvalidRequest: The url is not one of MongoDB's.
            StorageUnavailable: No server answers, or it refuses the role.
            UnsafeDatabase: It may lose what it acknowledges.
        """
        check(self._client is None, "an engine is opened once")
        self._client, self.name = self._connect(_DEFAULTS)
        try:
            with translate_errors(), pymongo.timeout(_OPEN_TIMEOUT_S):
                admin = self.client.admin
                hello = await admin.command("hello")
                check_hello(hello, self._accepted)
                check_config(await read_config(admin, hello), self._accepted)
        except ConfigurationError as error:
            await self.close()
            raise _unreadable(error) from None
        except BaseException:
            await self.close()
            raise

    @property
    def client(self) -> AsyncMongoClient[Body]:
        """The client. It finds the primary by itself."""
        check(self._client is not None, "the engine is open")
        return cast("AsyncMongoClient[Body]", self._client)

    @property
    def database(self) -> Database:
        """Our database, written by majority and read as the majority has it."""
        return self.client[self.name]

    async def ping(self) -> None:
        """Ask the primary for an answer.

        Raises:
            StorageUnavailable: There is none.
        """
        with translate_errors(), pymongo.timeout(_PING_TIMEOUT_S):
            await to_the_end(self.database.command("ping"))

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Lend a session whose transactions read a snapshot and commit durably."""
        async with self.client.start_session(default_transaction_options=_TRANSACTION) as session:
            yield session

    @contextlib.asynccontextmanager
    async def patient(self) -> AsyncIterator[Database]:
        """Lend a connection for migrations: building an index may take long."""
        client, name = self._connect({**_DEFAULTS, "socketTimeoutMS": None})
        try:
            yield client[name]
        finally:
            await client.close()

    async def close(self) -> None:
        """Close every connection. Safe to call twice."""
        client, self._client = self._client, None
        if client is not None:
            await to_the_end(client.close())

    def _connect(self, defaults: Mapping[str, Any]) -> tuple[AsyncMongoClient[Body], str]:
        """Make a client, which connects when it is first used, and name its database."""
        said = {name.lower() for name, _ in parse_qsl(urlsplit(self._url).query)}
        free = {name: value for name, value in defaults.items() if name.lower() not in said}
        try:
            client: AsyncMongoClient[Body] = AsyncMongoClient(
                self._url, maxPoolSize=self._pool_size, **free, **_PINNED
            )
            return client, client.get_default_database(DEFAULT_DATABASE).name
        except (ConfigurationError, InvalidURI, ValueError) as error:
            raise _unreadable(error) from None


def _unreadable(error: Exception) -> InvalidRequest:
    """Say that the url is wrong. The driver's words may repeat it, and with it the password."""
    return InvalidRequest(
        f"The url of the MongoDB database cannot be read ({type(error).__name__}). "
        "Use mongodb://user:password@host1,host2/database?replicaSet=name."
    )


async def commit(session: Session) -> None:
    """Commit the session's transaction; while its answer is lost, ask again.

    Raises:
        PyMongoError: With the label `UnknownTransactionCommitResult` the outcome
            is unknown; with `TransientTransactionError` nothing was written.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + COMMIT_FOR_S
    while True:
        try:
            await session.commit_transaction()
        except PyMongoError as error:
            unknown = error.has_error_label("UnknownTransactionCommitResult")
            if not unknown or loop.time() >= deadline:
                raise
            await asyncio.sleep(0)
        else:
            return


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` also while the caller is being cancelled; then let the cancellation go on.

    Every call to the driver goes through here. A commit or an abort cut in the middle would leave
    locks on the server for a minute. So would any other step: the server may come to it after the
    abort, and begin the transaction again. And the driver drops sockets that were connecting.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise


async def write(database: Database, command: Body, session: Session) -> Body:
    """Run an insert or update command inside a transaction; return the server's answer.

    The driver's own bulk writes cost twice the time for the same command.

    Raises:
        OperationFailure: A part was refused: a broken validator (121), a
            duplicate key (11000), or another transaction (112).
    """
    answer: Body = await database.command(
        command, session=session, codec_options=database.codec_options
    )
    for error in answer.get("writeErrors", ()):
        raise pymongo.errors.OperationFailure(error.get("errmsg", ""), error.get("code"), error)
    return answer
