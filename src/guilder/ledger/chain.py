"""The hash chain: each transfer's hash covers the one before and all the journal says of it.

    hash[n] = SHA-256(hash[n-1] || encoding[n]),  hash[0] = 32 zero bytes

The encoding (version 1) is big-endian: position, kind, amount, the three times as int64
milliseconds since 1970 (-1 for none), both legs (sequence, posted, pending_in, pending_out),
the six ids as 16 bytes each (zero for none), the fingerprint; then asset, code, reference and
metadata (JSON, keys sorted, no spaces), each as UTF-8 behind its length in 4 bytes.
"""

import hashlib
import struct
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

from guilder.storage.records import Counted, Transfer

_VERSION = 1
_FIXED = struct.Struct(">BqBqqqqqqqqqqqq16s16s16s16s16s16s32s")
_LENGTHS = struct.Struct(">IIIII")
_COUNTED = struct.Struct(">16sq")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NO_ID = bytes(16)
_NO_METADATA = b"{}"
_encode_metadata = msgspec.json.Encoder(order="deterministic").encode


def encode(transfer: Transfer) -> bytes:
    """Return the canonical encoding of a transfer, without its hash."""
    asset = transfer.asset.encode()
    code = transfer.code.encode()
    reference = transfer.reference.encode()
    metadata = _encode_metadata(transfer.metadata) if transfer.metadata else _NO_METADATA
    debit, credit = transfer.debit, transfer.credit
    return b"".join(
        (
            _FIXED.pack(
                _VERSION,
                transfer.position,
                transfer.kind,
                transfer.amount_minor,
                _milliseconds(transfer.expires_at),
                _milliseconds(transfer.effective_at),
                _milliseconds(transfer.created_at),
                debit.sequence,
                debit.posted,
                debit.pending_in,
                debit.pending_out,
                credit.sequence,
                credit.posted,
                credit.pending_in,
                credit.pending_out,
                transfer.id.bytes,
                transfer.debit_account_id.bytes,
                transfer.credit_account_id.bytes,
                transfer.group_id.bytes if transfer.group_id else _NO_ID,
                transfer.hold_id.bytes if transfer.hold_id else _NO_ID,
                transfer.reverses_id.bytes if transfer.reverses_id else _NO_ID,
                transfer.fingerprint,
            ),
            _LENGTHS.pack(
                len(asset), len(code), len(reference), len(metadata), len(transfer.counted)
            ),
            asset,
            code,
            reference,
            metadata,
            _counted_bytes(transfer.counted) if transfer.counted else b"",
        )
    )


def chain_hash(previous: bytes, transfer: Transfer) -> bytes:
    """Return the 32-byte hash of a transfer that follows one with hash `previous`."""
    return hashlib.sha256(previous + encode(transfer)).digest()


@lru_cache(maxsize=1024)
def _milliseconds(time: datetime | None) -> int:
    return -1 if time is None else (time - _EPOCH) // _MILLISECOND


def _counted_bytes(counted: tuple[Counted, ...]) -> bytes:
    return b"".join(_COUNTED.pack(each.counter_id.bytes, each.added) for each in counted)
