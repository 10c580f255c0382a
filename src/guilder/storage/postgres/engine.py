"""Connections to PostgreSQL: a pool, checked and pinned, and one place that translates errors."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog

from guilder.kernel.errors import check
from guilder.storage.errors import NotMigrated, StorageUnavailable
from guilder.storage.postgres.settings_check import ServerFacts, check_settings

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]
    RawConnection = asyncpg.Connection[asyncpg.Record]

Address = Callable[[], Mapping[str, object]]
"""Returns the arguments of `asyncpg.connect`; a call, as the port may change with a restart."""

_log = structlog.get_logger(__name__)

_CONNECT_TIMEOUT_S = 10
_ACQUIRE_TIMEOUT_S = 5
_COMMAND_TIMEOUT_S = 6
"""Above `statement_timeout`: the server's own answer comes first unless the network is gone. Then
the journal has time for another attempt before its client gives up."""

# Sent when a connection begins, so that they are its defaults and no RESET undoes them.
_PINNED = {
    "application_name": "guilder",
    "timezone": "UTC",
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "jit": "off",
}
_PINNED_FOR_OWNER = {
    **_PINNED,
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "60s",
}

# What only says "not now": the server is away, going, full, or someone else was in the way.
# The same request may be sent again; whether a COMMIT that was under way counts is unknown.
_UNAVAILABLE = (
    OSError,
    EOFError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
# Faults of our own that asyncpg files under InterfaceError.
_OUR_FAULT = (asyncpg.DataError, asyncpg.exceptions.ClientConfigurationError)
# Faults of the set-up: worth their own words.
_REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Turn "the database is away" in all its forms into `StorageUnavailable`.

    Broken constraints and faults of our own pass through unchanged.

    Raises:
        StorageUnavailable: The connection was lost, refused, timed out or
            cancelled by the server. If COMMIT had been sent, the outcome is unknown.
        NotMigrated: A table is not there.
    """
    try:
        yield
    except asyncpg.UndefinedTableError as error:
        raise NotMigrated from error
    except _OUR_FAULT:
        raise
    except _REFUSED as error:
        raise StorageUnavailable(f"The database refused the connection: {error}") from error
    except _UNAVAILABLE as error:
        raise StorageUnavailable(retry_after_s=1) from error


class Engine:
    """A pool of checked connections that makes new ones when the server has been away.

    Args:
        address: Where and as whom to connect.
        accepted: Unsafe settings that the operator answers for.
        pool_size: Most connections at once.
    """

    def __init__(
        self, address: Address, *, accepted: AbstractSet[str] = frozenset(), pool_size: int = 10
    ) -> None:
        self._address = address
        self._accepted = accepted
        self._pool_size = pool_size
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self.facts: ServerFacts | None = None

    async def open(self) -> None:
        """Connect for the first time.

        Raises:
            StorageUnavailable: The server does not answer or refuses the role.
            UnsafeDatabase: It may lose what it acknowledges.
        """
        check(self._pool is None, "an engine is opened once")
        with translate_errors():
            self._pool = await asyncpg.create_pool(
                min_size=1,
                max_size=self._pool_size,
                connect=self._connect,
                init=self._init,
                reset=_leave_as_is,
                command_timeout=_COMMAND_TIMEOUT_S,
                timeout=_CONNECT_TIMEOUT_S,
                server_settings=_PINNED,
            )
        if self.facts is not None and not self.facts.has_data_checksums:
            _log.warning(
                "data_checksums_off", cure="run pg_checksums --enable on the stopped server"
            )

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator["Connection"]:
        """Lend a connection; errors inside the block are translated too.

        Raises:
            StorageUnavailable: There is no connection, or it was lost.
            UnsafeDatabase: The server was replaced by one that may lose commits.
        """
        check(self._pool is not None, "the engine is open")
        pool: Any = self._pool
        with translate_errors():
            async with pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as connection:
                try:
                    yield connection
                except (TimeoutError, OSError):
                    # A network that swallowed this one without a word swallowed the idle ones, too,
                    # and each would cost somebody a time-out. A new one costs milliseconds. This
                    # one would wait as long again to say good-bye to nobody.
                    connection.terminate()
                    await pool.expire_connections()
                    raise
                except BaseException:
                    await _finish_sequence(connection)
                    raise

    async def close(self) -> None:
        """Close every connection, waiting a little for those in use. Safe to call twice."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(_ACQUIRE_TIMEOUT_S):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    async def _connect(self, *_: object, **options: Any) -> "RawConnection":  # noqa: ANN401
        """Make a connection for the pool."""
        connection: RawConnection = await asyncpg.connect(**{**options, **self._address()})
        return connection

    async def _init(self, connection: "RawConnection") -> None:
        """Check and finish a new connection."""
        self.facts = await check_settings(connection, self._accepted)
        # Not every platform has this one; a dead client is then noticed by TCP keep-alive.
        with contextlib.suppress(asyncpg.PostgresError):
            await connection.execute("SET client_connection_check_interval = '1s'")


async def _leave_as_is(_connection: object) -> None:
    """Keep the session: we change no session state, and a reset would cost a round trip each time.

    asyncpg itself has rolled back what was open before it calls this.
    """


async def _finish_sequence(connection: "Connection") -> None:
    """Make sure that the server has begun nothing that the next borrower would stand in.

    asyncpg prepares a statement without the message that ends a sequence, which comes with its
    execution. When a cancellation or an unfit argument lies between the two, the server is left in
    a transaction that asyncpg does not know of: the next `BEGIN` joins it, is refused if it names
    an isolation level, and reads the clock of the one before. Any plain statement ends it.
    """
    if connection.is_closed():
        return
    try:
        await connection.execute("SELECT 1")
    except (asyncpg.PostgresError, *_UNAVAILABLE):
        connection.terminate()


@contextlib.asynccontextmanager
async def owner_connection(address: Address) -> AsyncIterator["RawConnection"]:
    """Lend a connection for migrations: statements may take long there, locks may not.

    Raises:
        StorageUnavailable: The server does not answer or refuses the role.
    """
    with translate_errors():
        options: dict[str, Any] = dict(address())
        connection = await asyncpg.connect(
            **options, timeout=_CONNECT_TIMEOUT_S, server_settings=_PINNED_FOR_OWNER
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=_CONNECT_TIMEOUT_S)
