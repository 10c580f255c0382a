r"""The hash chain of the audit record: each hash covers the one before and all of its event.

    hash[n] = SHA-256(hash[n-1] || encoding[n]),  hash[0] = 32 zero bytes

The encoding (version 1) is JSON in UTF-8 without blanks: the array of 1, position, id, time of the
event and of the seal in milliseconds since 1970, action, actor, subject, outcome, address or null,
and the details with sorted keys. All texts are printable ASCII without `"` and `\` (`rules`), so
there is one way to write them.
"""

import hashlib
from datetime import UTC, datetime, timedelta

import msgspec

from guilder.audit.models import AuditEvent

_VERSION = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_encode = msgspec.json.Encoder(order="deterministic").encode


def seal_hash(previous: str, event: AuditEvent, *, position: int, sealed_at: datetime) -> str:
    """Return the hash of an event at a position.

    Args:
        previous: 64 hexadecimal digits: of the position before.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(
        bytes.fromhex(previous) + encode(event, position=position, sealed_at=sealed_at)
    ).hexdigest()


def encode(event: AuditEvent, *, position: int, sealed_at: datetime) -> bytes:
    """Return the canonical encoding of an event at a position."""
    return _encode(
        [
            _VERSION,
            position,
            event.id,
            _milliseconds(event.created_at),
            _milliseconds(sealed_at),
            event.action,
            event.actor,
            event.subject,
            event.outcome,
            event.address,
            event.details,
        ]
    )


def _milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MILLISECOND
