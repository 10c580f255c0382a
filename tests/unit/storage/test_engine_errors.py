"""Which errors of the driver mean "not now", which mean "never", and what a caller is told."""

import asyncpg
import pytest

from guilder.kernel.errors import InvariantViolation
from guilder.storage.errors import DuplicateDocument, NotMigrated, StorageUnavailable
from guilder.storage.postgres.engine import translate_errors


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        ConnectionResetError(),
        TimeoutError(),
        EOFError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.AdminShutdownError(),
        asyncpg.CrashShutdownError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.QueryCanceledError(),
        asyncpg.TooManyConnectionsError(),
        asyncpg.DiskFullError(),
        asyncpg.OutOfMemoryError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.SerializationError(),
        asyncpg.LockNotAvailableError(),
        asyncpg.IdleInTransactionSessionTimeoutError(),
        asyncpg.ReadOnlySQLTransactionError(),
        asyncpg.InvalidPasswordError("no"),
        asyncpg.InvalidCatalogNameError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_unavailable(error: Exception) -> None:
    with pytest.raises(StorageUnavailable) as caught, translate_errors():
        raise error
    assert caught.value.retryable
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError(),
        asyncpg.CheckViolationError(),
        asyncpg.InsufficientPrivilegeError(),
        asyncpg.DataError("value out of int64 range"),
        asyncpg.NumericValueOutOfRangeError(),
        InvariantViolation(),
        DuplicateDocument("id"),
        ValueError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_wrong_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, translate_errors():
        raise error
    assert caught.value is error


def test_a_missing_table_is_to_be_migrated() -> None:
    with pytest.raises(NotMigrated, match="guilder migrate"), translate_errors():
        raise asyncpg.UndefinedTableError
