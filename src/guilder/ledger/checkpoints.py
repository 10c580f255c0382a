"""Signed checkpoints: what the book was at a position, for those who keep a copy elsewhere.

Who owns the database can write all of the chain again. He cannot make it fit a checkpoint that
somebody else has, nor sign another one, as the key is not in the database.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from guilder.kernel.clock import rfc3339
from guilder.ledger import merkle
from guilder.ledger.errors import CheckpointUnreadable
from guilder.ledger.proofs import leaf_of, sealed
from guilder.ledger.verify import Difference, Report
from guilder.ledger.watch import Watch
from guilder.storage.base import Collection, Document, LedgerReads, LedgerStorage
from guilder.storage.records import Transfer

SEGMENT = 4_096
"""Most transfers between two checkpoints: what is read for a proof, and 12 steps of a path."""
_AT_ONCE = 500
_HASHED_AT_ONCE = 64


class Statement(Struct, frozen=True, kw_only=True):
    """What a checkpoint says.

    Args:
        after: Position of the checkpoint before this one; 0 for the first.
        position: Of the last transfer that it covers.
        chain: 64 hexadecimal digits: the seal on that transfer's hash.
        root: 64 hexadecimal digits: of the tree over the transfers after `after`.
        time: When it was signed, RFC 3339.
        key_id: Of the key that signed it.
        signature: 128 hexadecimal digits.
    """

    after: int
    position: int
    chain: str
    root: str
    time: str
    key_id: str
    signature: str

    def text(self) -> bytes:
        """Return the bytes that are signed."""
        return (
            f"guilder checkpoint 1\nafter {self.after}\nposition {self.position}\n"
            f"chain {self.chain}\nroot {self.root}\ntime {self.time}\nkey_id {self.key_id}\n"
        ).encode()


class Checkpoint(Document, frozen=True, kw_only=True):
    """A stored statement. Its id is made of `after`: of two that race, one is stored."""

    collection: ClassVar[str] = "checkpoints"

    statement: Statement


def checkpoint_id(after: int) -> str:
    """Return the id of the checkpoint that follows the one at a position. They sort by it."""
    return f"checkpoint_{after:019d}"


class CheckpointKey:
    """The Ed25519 key that signs, and the key that blinds. Both are derived from one secret.

    Args:
        secret: At least 32 bytes that are kept for as long as the book.

    Attributes:
        id: Short name of the public key.
        public: Its 32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        seed = hmac.digest(secret, b"guilder:checkpoint-signature", "sha256")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.blinding = hmac.digest(secret, b"guilder:checkpoint-blinding", "sha256")
        self.public = self._private.public_key().public_bytes_raw()
        self.id = f"key_{hashlib.sha256(self.public).hexdigest()[:16]}"

    def sign(
        self, *, after: int, position: int, chain: bytes, root: bytes, now: datetime
    ) -> Statement:
        """Return a signed statement."""
        draft = Statement(
            after=after,
            position=position,
            chain=sealed(chain, self.blinding).hex(),
            root=root.hex(),
            time=rfc3339(now),
            key_id=self.id,
            signature="",
        )
        signature = self._private.sign(draft.text()).hex()
        return msgspec.structs.replace(draft, signature=signature)

    def is_mine(self, statement: Statement) -> bool:
        """Tell whether this key has signed the statement."""
        return statement.key_id == self.id and is_signed(statement, self.public)

    def covers(self, statement: Statement, transfer: Transfer) -> bool:
        """Tell whether a transfer is the one that the statement's seal is on."""
        seal = sealed(transfer.hash, self.blinding).hex()
        return hmac.compare_digest(seal, statement.chain)


def is_signed(statement: Statement, public_key: bytes) -> bool:
    """Tell whether the owner of a public key, of 32 bytes, has signed the statement."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            bytes.fromhex(statement.signature), statement.text()
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def read_statement(text: str | bytes) -> Statement:
    """Read a checkpoint as `/v1/ledger/checkpoints` has it.

    Raises:
        CheckpointUnreadable: It is none.
    """
    try:
        return msgspec.json.decode(text, type=Statement)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CheckpointUnreadable(f"This is not a checkpoint: {error}.") from error


async def segment(book: LedgerReads, *, after: int, position: int) -> list[Transfer]:
    """Return the transfers after one position up to another, as far as the journal has them."""
    found: list[Transfer] = []
    while after + len(found) < position:
        start = after + len(found)
        page = await book.transfers_after(start, min(_AT_ONCE, position - start))
        if not page:
            break
        found += page
    return found


async def leaves_of(transfers: Sequence[Transfer], key: CheckpointKey) -> list[bytes]:
    """Return the leaves of transfers; the requests beside it are let through meanwhile."""
    leaves: list[bytes] = []
    for start in range(0, len(transfers), _HASHED_AT_ONCE):
        part = transfers[start : start + _HASHED_AT_ONCE]
        leaves += [leaf_of(each, key.blinding) for each in part]
        await asyncio.sleep(0)
    return leaves


async def last_checkpoint(checkpoints: Collection[Checkpoint]) -> Checkpoint | None:
    """Return the newest checkpoint."""
    found = await checkpoints.page({}, descending=True, limit=1)
    return found[0] if found else None


async def sign_next(
    checkpoints: Collection[Checkpoint],
    book: LedgerReads,
    key: CheckpointKey,
    *,
    verified: int,
    now: datetime,
) -> Statement | None:
    """Sign and store the checkpoint after the newest one.

    Args:
        verified: Position up to which the book was found right; no checkpoint goes beyond.

    Returns:
        None if there is nothing new.

    Raises:
        DuplicateDocument: Somebody else has just stored it.
    """
    last = await last_checkpoint(checkpoints)
    after = last.statement.position if last else 0
    transfers = await segment(book, after=after, position=min(verified, after + SEGMENT))
    if not transfers:
        return None
    statement = key.sign(
        after=after,
        position=transfers[-1].position,
        chain=transfers[-1].hash,
        root=merkle.root(await leaves_of(transfers, key)),
        now=now,
    )
    await checkpoints.insert(
        Checkpoint(id=checkpoint_id(after), statement=statement, created_at=now, updated_at=now)
    )
    return statement


async def check_statement(
    book: LedgerReads, key: CheckpointKey, statement: Statement
) -> Difference | None:
    """Return what is wrong with the book, seen from a checkpoint."""
    if not key.is_mine(statement):
        return Difference(statement.position, "the checkpoint's signature is not of our key")
    at = statement.position
    found = await book.transfers_after(at - 1, 1)
    if not found or found[0].position != at:
        return Difference(at, "the journal ends before a checkpoint that was signed")
    if not key.covers(statement, found[0]):
        return Difference(at, f"the journal is not the one of the checkpoint of {statement.time}")
    return None


async def check_all(
    checkpoints: Collection[Checkpoint], book: LedgerStorage, key: CheckpointKey, report: Report
) -> None:
    """Compare every stored checkpoint with a book that was verified; write into its report.

    Those of a key that is no longer known are left out: they are not counted.
    """
    count, position, last = 0, 0, ""
    while page := await checkpoints.page({}, after=(last, last) if last else None, limit=100):
        last = page[-1].id
        for each in page:
            statement = each.statement
            if (each.id, statement.after) != (checkpoint_id(position), position):
                report.difference = Difference(position + 1, "a stored checkpoint is gone")
                return
            position = statement.position
            if statement.key_id != key.id:
                continue
            report.difference = await check_statement(book, key, statement)
            if report.difference is not None:
                return
            count += 1
    report.checkpoints = count


async def verify_since(book: LedgerStorage, key: CheckpointKey, statement: Statement) -> Report:
    """Verify a book from a checkpoint on: that it still holds it, and all that follows.

    Returns:
        The report; it counts what follows the checkpoint.

    Raises:
        StorageUnavailable: The database is away.
    """
    report = Report(position=statement.position)
    report.difference = await check_statement(book, key, statement)
    if report.difference is not None:
        return report
    (transfer,) = await book.transfers_after(statement.position - 1, 1)
    watch = Watch(book, position=transfer.position, hash_=transfer.hash)
    while await watch.step():
        pass
    report.position, report.hash = watch.position, watch.hash
    report.transfers, report.difference = watch.transfers, watch.difference
    report.checkpoints = 1
    return report
