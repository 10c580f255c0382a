"""What a checkpoint's tree says of one transfer, in parts that can be shown one by one.

Each transfer has a leaf over the hashes of four parts: what both sides may know, the debit side's
balances, the credit side's, and its link in the chain. Whoever owns one side is shown that side in
full and of the other the hash alone. As balances are easily guessed, each side's part carries a
salt, and the chain's hash, which covers both, is sealed with a key.
"""

import hashlib
import hmac
from functools import lru_cache

import msgspec
from msgspec import Struct

from guilder.kernel.clock import rfc3339
from guilder.kernel.ids import encode_id
from guilder.ledger import merkle
from guilder.storage.records import Leg, Transfer

_json = msgspec.json.Encoder().encode
_time = lru_cache(maxsize=1024)(rfc3339)
"""The transfers of a batch share theirs."""
DEBIT, CREDIT = "debit", "credit"


class Part(Struct, frozen=True):
    """One part of a leaf. `content` is None where it is not for the reader."""

    name: str
    hash: str
    """64 hexadecimal digits: SHA-256 of the content; of the chain the seal."""
    content: bytes | None


def parts(transfer: Transfer, blinding_key: bytes) -> tuple[Part, Part, Part, Part]:
    """Return the parts of a transfer's leaf: common, debit, credit, chain.

    Args:
        blinding_key: 32 secret bytes, the same for ever.
    """
    return (
        _part("common", _common(transfer)),
        _part(DEBIT, _side(transfer, DEBIT, transfer.debit, blinding_key)),
        _part(CREDIT, _side(transfer, CREDIT, transfer.credit, blinding_key)),
        Part("chain", sealed(transfer.hash, blinding_key).hex(), None),
    )


def leaf_of(transfer: Transfer, blinding_key: bytes) -> bytes:
    """Return the 32-byte leaf of a transfer."""
    return merkle.leaf(b"".join(bytes.fromhex(part.hash) for part in parts(transfer, blinding_key)))


def sealed(chain_hash: bytes, blinding_key: bytes) -> bytes:
    """Return 32 bytes that stand for a hash of the chain and tell nothing without the key.

    The hash itself would: who knows a transfer but the other side's balance could try balances
    until it fits.
    """
    return hmac.digest(blinding_key, b"chain" + chain_hash, "sha256")


def _common(transfer: Transfer) -> bytes:
    return _json(
        {
            "part": "common",
            "position": transfer.position,
            "transaction_id": encode_id("transfer", transfer.id),
            "kind": transfer.kind.name.lower(),
            "debit_account_id": str(transfer.debit_account_id),
            "credit_account_id": str(transfer.credit_account_id),
            "amount": transfer.amount_minor,
            "currency": transfer.asset,
            "code": transfer.code,
            "created_at": _time(transfer.created_at),
            "effective_at": _time(transfer.effective_at),
        }
    )


def _side(transfer: Transfer, name: str, leg: Leg, blinding_key: bytes) -> bytes:
    salt = hmac.digest(blinding_key, name.encode() + transfer.id.bytes, "sha256")
    return _json(
        {
            "part": name,
            "posted": leg.posted,
            "pending_in": leg.pending_in,
            "pending_out": leg.pending_out,
            "version": leg.sequence,
            "salt": salt.hex(),
        }
    )


def _part(name: str, content: bytes) -> Part:
    return Part(name, hashlib.sha256(content).hexdigest(), content)
