"""Lines of the journal in the binary format of COPY, each for the most part by one `struct` call.

asyncpg's own encoder looks at every field of every line by itself, and asks the server for the
columns' types before each COPY: a fifth of what a transfer costs in Python (measured).

Source:
    PostgreSQL documentation, COPY, "Binary Format": signature, flags and length of an extension;
    for each row the number of its fields, and each of them behind its length in 4 bytes (-1 for
    NULL); -1 at the end. Times are microseconds since 2000; jsonb is text behind its version, 1.
"""

import struct
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from uuid import UUID

import msgspec

from guilder.kernel.errors import check
from guilder.storage.records import Transfer

COLUMNS = (
    "position",
    "id",
    "kind",
    "debit_account_id",
    "credit_account_id",
    "amount_minor",
    "effective_at",
    "created_at",
    "fingerprint",
    "debit_sequence",
    "debit_posted",
    "debit_pending_in",
    "debit_pending_out",
    "credit_sequence",
    "credit_posted",
    "credit_pending_in",
    "credit_pending_out",
    "hash",
    "asset",
    "code",
    "reference",
    "metadata",
    "group_id",
    "hold_id",
    "reverses_id",
    "expires_at",
    "counted",
)
"""In the order of the encoding: first what has one length and is always there."""
_AT_ONCE = 512
"""Lines in one message. Fewer cost more calls, more keep the server waiting."""

_FIXED = struct.Struct("!h iq i16s ih i16s i16s iq iq iq i32s iq iq iq iq iq iq iq iq i32s")
_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_NO_OPTIONS = _NULL * 5
_EMPTY = bytes(4)
_NO_METADATA = b"\0\0\0\x03\x01{}"
_HASH_BYTES = 32
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_length = struct.Struct("!i").pack
_uuid = struct.Struct("!i16s").pack
_time = struct.Struct("!iq").pack
_encode_counted = msgspec.json.Encoder().encode
_encode_metadata = msgspec.json.Encoder(order="deterministic").encode


async def copy_rows(transfers: Iterable[Transfer]) -> AsyncIterator[bytes]:
    """Yield the transfers as COPY takes them, in `COLUMNS`. They may be made while it reads on."""
    rows = map(encode_row, transfers)
    yield _BEGIN
    while part := b"".join(islice(rows, _AT_ONCE)):
        yield part
    yield _END


def encode_row(transfer: Transfer) -> bytes:
    """Return one row.

    Raises:
        InvariantViolation: The amount is no integer, or a hash is not 32 bytes long.
        struct.error: A number is no int64.
    """
    check(type(transfer.amount_minor) is int, "amounts are integers")
    # `struct` would cut or fill them up without a word.
    check(len(transfer.fingerprint) == len(transfer.hash) == _HASH_BYTES, "hashes have 32 bytes")
    debit, credit = transfer.debit, transfer.credit
    metadata = transfer.metadata
    return b"".join((
        _FIXED.pack(
            len(COLUMNS),
            8, transfer.position,
            16, transfer.id.bytes,
            2, transfer.kind,
            16, transfer.debit_account_id.bytes,
            16, transfer.credit_account_id.bytes,
            8, transfer.amount_minor,
            8, _microseconds(transfer.effective_at),
            8, _microseconds(transfer.created_at),
            32, transfer.fingerprint,
            8, debit.sequence,
            8, debit.posted,
            8, debit.pending_in,
            8, debit.pending_out,
            8, credit.sequence,
            8, credit.posted,
            8, credit.pending_in,
            8, credit.pending_out,
            32, transfer.hash,
        ),
        _word(transfer.asset),
        _word(transfer.code),
        _text(transfer.reference) if transfer.reference else _EMPTY,
        _json(_encode_metadata(metadata)) if metadata else _NO_METADATA,
        _options(transfer),
    ))  # fmt: skip


def _options(transfer: Transfer) -> bytes:
    """Return the fields that most transfers do not have."""
    group_id, hold_id, reverses_id = transfer.group_id, transfer.hold_id, transfer.reverses_id
    expires_at, counted = transfer.expires_at, transfer.counted
    if not (group_id or hold_id or reverses_id or expires_at or counted):
        return _NO_OPTIONS
    return b"".join(
        (
            _optional_id(group_id),
            _optional_id(hold_id),
            _optional_id(reverses_id),
            _NULL if expires_at is None else _time(8, _microseconds(expires_at)),
            _json(_encode_counted(counted)) if counted else _NULL,
        )
    )


def _optional_id(uuid: UUID | None) -> bytes:
    return _NULL if uuid is None else _uuid(16, uuid.bytes)


def _text(text: str) -> bytes:
    raw = text.encode()
    return _length(len(raw)) + raw


_word = lru_cache(maxsize=1024)(_text)


def _json(raw: bytes) -> bytes:
    return _length(len(raw) + 1) + b"\x01" + raw


@lru_cache(maxsize=1024)
def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND
