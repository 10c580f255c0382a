"""One place that turns "MongoDB is away" in all its forms into `StorageUnavailable`."""

import asyncio
import contextlib
from collections.abc import Iterator

from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from guilder.storage.errors import StorageUnavailable

DUPLICATE_KEY = 11000

# What only says "not now": the server is away, going, electing, or somebody was in the way. The
# same request may be sent again; whether a commit that was under way counts is unknown.
_NOT_NOW = frozenset(
    {
        6,  # HostUnreachable
        7,  # HostNotFound
        24,  # LockTimeout
        43,  # CursorNotFound
        46,  # LockBusy
        50,  # MaxTimeMSExpired
        64,  # WriteConcernFailed
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        100,  # UnsatisfiableWriteConcern
        112,  # WriteConflict
        117,  # ConflictingOperationInProgress
        133,  # FailedToSatisfyReadPreference
        134,  # ReadConcernMajorityNotAvailableYet
        175,  # QueryPlanKilled
        189,  # PrimarySteppedDown
        202,  # NetworkInterfaceExceededTimeLimit
        225,  # TransactionTooOld
        237,  # CursorKilled
        239,  # SnapshotTooOld
        246,  # SnapshotUnavailable
        251,  # NoSuchTransaction
        262,  # ExceededTimeLimit
        290,  # TransactionExceededLifetimeLimitSeconds
        9001,  # SocketException
        10058,  # LegacyNotPrimary
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11601,  # Interrupted
        11602,  # InterruptedDueToReplStateChange
        13388,  # StaleConfig
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary
    }
)
_REFUSED = frozenset({13, 18, 8000})
"""Unauthorized, AuthenticationFailed, AtlasError: faults of the set-up, worth their own words."""
_LABELS = ("TransientTransactionError", "UnknownTransactionCommitResult", "RetryableWriteError")


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Turn the loss of the database into `StorageUnavailable`.

    Broken validators, broken unique indexes and faults of our own pass through unchanged.

    Raises:
        StorageUnavailable: The connection was lost, refused or timed out, the
            primary stepped down, or the transaction met another one. If a
            commit had been sent, the outcome is unknown.
        CancelledError: The task was cancelled, and the driver kept that to itself.

    Source:
        The driver sends with `asyncio.wait_for`, which on Python 3.11 drops a
        cancellation that comes while the send succeeds (python/cpython#86296).
    """
    task = asyncio.current_task()
    cancelled_before = task.cancelling() if task else 0
    try:
        yield
        if task is not None and task.cancelling() > cancelled_before:
            raise asyncio.CancelledError
    except PyMongoError as error:
        if isinstance(error, OperationFailure) and error.code in _REFUSED:
            reason = (error.details or {}).get("errmsg", "")
            raise StorageUnavailable(f"The database refused: {reason}") from error
        if is_unavailable(error):
            raise StorageUnavailable(retry_after_s=1) from error
        raise
    except OSError as error:
        raise StorageUnavailable(retry_after_s=1) from error


def is_unavailable(error: PyMongoError) -> bool:
    """Tell whether an error only says that the same may be asked again later."""
    if isinstance(error, (ConnectionFailure, ExecutionTimeout, WriteConcernError)):
        return True
    if any(error.has_error_label(label) for label in _LABELS):
        return True
    if isinstance(error, BulkWriteError):
        details = error.details
        codes = {each.get("code") for each in details.get("writeErrors", ())}
        return bool(details.get("writeConcernErrors")) or bool(codes & _NOT_NOW)
    return isinstance(error, OperationFailure) and error.code in _NOT_NOW
