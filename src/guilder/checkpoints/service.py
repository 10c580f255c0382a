"""The audit in the background, and what it lets us sign."""

import asyncio
import time
from datetime import timedelta

import structlog
from msgspec import Struct

from guilder.checkpoints.errors import ProofNotReady
from guilder.kernel.clock import Clock
from guilder.kernel.errors import NotFound
from guilder.ledger import merkle
from guilder.ledger.background import BackgroundTask
from guilder.ledger.checkpoints import (
    SEGMENT,
    Checkpoint,
    CheckpointKey,
    Statement,
    check_statement,
    checkpoint_id,
    last_checkpoint,
    leaves_of,
    segment,
    sign_next,
)
from guilder.ledger.errors import BooksDiffer
from guilder.ledger.merkle import Step
from guilder.ledger.proofs import CREDIT, DEBIT, Part, parts
from guilder.ledger.watch import Watch
from guilder.storage.base import LedgerStorage, Storage
from guilder.storage.errors import DuplicateDocument
from guilder.storage.records import Transfer

_REST = 19
"""Rest so many times as long as a page took: the audit takes a twentieth of this process, no more.
Payments come first; what they leave behind is caught up with when they are fewer."""

_log = structlog.get_logger(__name__)


class Proof(Struct, frozen=True):
    """That a signed checkpoint covers a transfer: enough to check it without us."""

    transfer: Transfer
    parts: tuple[Part, ...]
    path: list[Step]
    checkpoint: Statement


class CheckpointService:
    """Watches the book and signs what was found right.

    Args:
        key: Signs; the database does not have it.
        interval_s: Seconds between two checkpoints, if the book has grown.

    Invariants:
        Nothing is signed that the watch of this process has not found right.
    """

    def __init__(
        self,
        storage: Storage,
        book: LedgerStorage,
        key: CheckpointKey,
        *,
        clock: Clock,
        interval_s: int,
    ) -> None:
        self.key = key
        self._checkpoints = storage.documents(Checkpoint)
        self._book = book
        self._clock = clock
        self._interval = timedelta(seconds=interval_s)
        self._watch: Watch | None = None
        self._task: BackgroundTask | None = None

    def start(self, *, every_s: int) -> None:
        """Begin to watch.

        Args:
            every_s: Seconds between looks; 0 for never.
        """
        if every_s:
            self._task = BackgroundTask("books-watch", self.step, every_ms=every_s * 1000)
            self._task.start()

    async def stop(self) -> None:
        """Stop watching."""
        if self._task is not None:
            await self._task.stop()

    @property
    def verified_position(self) -> int:
        """Up to where the journal was found right."""
        return self._watch.position if self._watch else 0

    @property
    def lag(self) -> int:
        """How many transfers wait to be looked at."""
        return self._watch.lag if self._watch else 0

    @property
    def is_right(self) -> bool:
        """Whether no difference was found."""
        return self._watch is None or self._watch.difference is None

    async def ready(self) -> str:
        """Say in a few words how the books are.

        Raises:
            BooksDiffer: They are not right.
        """
        if not self.is_right:
            raise BooksDiffer
        if self._task is None:
            return "not watched"
        return f"right up to {self.verified_position}, {self.lag} to look at"

    async def step(self) -> bool:
        """Look at what is new, sign it if it is time; tell whether there is more.

        Raises:
            StorageUnavailable: The database is away; looking again later is safe.
        """
        if self._watch is None:
            self._watch = await self._begin()
        began = time.monotonic()
        has_more = await self._watch.step()
        if self._watch.difference is None:
            await self._sign_if_due(self._watch)
        if has_more:
            await asyncio.sleep(_REST * (time.monotonic() - began))
        return has_more

    async def _begin(self) -> Watch:
        """Begin at the newest checkpoint: only what follows it must be read again."""
        found = await last_checkpoint(self._checkpoints)
        if found is None:
            return Watch(self._book)
        last = found.statement
        if last.key_id != self.key.id:
            _log.warning("checkpoints are of another key", key_id=last.key_id)
            return Watch(self._book)
        difference = await check_statement(self._book, self.key, last)
        if difference is not None:
            watch = Watch(self._book)
            watch.difference = difference
            return watch
        (transfer,) = await self._book.transfers_after(last.position - 1, 1)
        return Watch(self._book, position=transfer.position, hash_=transfer.hash)

    async def _sign_if_due(self, watch: Watch) -> None:
        last = await last_checkpoint(self._checkpoints)
        now = self._clock()
        if last is not None:
            grown = watch.position - last.statement.position
            is_time = now - last.created_at >= self._interval
            if grown <= 0 or (grown < SEGMENT and not is_time):
                return
        try:
            await sign_next(
                self._checkpoints, self._book, self.key, verified=watch.position, now=now
            )
        except DuplicateDocument:
            return  # Another process has signed the same, or a little less.

    async def page(self, *, after: int | None, limit: int) -> list[Checkpoint]:
        """Return checkpoints, newest first.

        Args:
            after: `after` of the last one of the page before.
        """
        mark = None if after is None else checkpoint_id(after)
        return await self._checkpoints.page(
            {}, after=(mark, mark) if mark else None, descending=True, limit=limit
        )

    async def proof(self, transfer: Transfer, *, is_debit: bool) -> Proof:
        """Prove a transfer to the owner of one of its sides.

        Args:
            is_debit: Which side is his; the other's balances stay hidden.

        Raises:
            ProofNotReady: No checkpoint covers it yet.
            NotFound: The one that does is of a key that is no longer known.
        """
        mark = checkpoint_id(transfer.position)
        found = await self._checkpoints.page({}, after=(mark, mark), descending=True, limit=1)
        if not found or found[0].statement.position < transfer.position:
            raise ProofNotReady(retry_after_s=60)
        statement = found[0].statement
        if statement.key_id != self.key.id:
            raise NotFound("The key of the checkpoint is no longer known.")
        covered = await segment(self._book, after=statement.after, position=statement.position)
        leaves = await leaves_of(covered, self.key)
        if merkle.root(leaves).hex() != statement.root:
            _log.error("a checkpoint does not fit the journal", position=statement.position)
            raise BooksDiffer
        hidden = CREDIT if is_debit else DEBIT
        return Proof(
            transfer,
            tuple(
                Part(each.name, each.hash, None) if each.name == hidden else each
                for each in parts(transfer, self.key.blinding)
            ),
            merkle.path(leaves, transfer.position - statement.after - 1),
            statement,
        )
