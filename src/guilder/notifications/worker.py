"""Sends what waits in the outbox, one worker for each channel in each process.

A message is taken by writing it back under the version that was read, so one process has it, for
as long as its lease; the call happens outside of every transaction; then its end is written down.
Who dies in between may have sent it: it is sent again after the lease, so at least once, and at
most once more than the receiver should see for every such death.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from guilder.kernel.clock import Clock
from guilder.kernel.errors import GuilderError, InvariantViolation
from guilder.notifications.brakes import Brakes
from guilder.notifications.models import Channel, Message, MessageState
from guilder.notifications.outbox import place
from guilder.notifications.rest import Rest
from guilder.notifications.rules import next_attempt
from guilder.notifications.sending import Fate, Letter, Outcome, Sender
from guilder.notifications.templates import write
from guilder.storage.base import Range, Storage
from guilder.storage.errors import VersionConflict
from guilder.vault.vault import Vault

LEASE: Final = timedelta(seconds=90)
"""Longer than the longest attempt, however slow the other side is."""
ATTEMPT_TIMEOUT_S: Final = 45
"""The end of an attempt, if its sender should not keep its own."""
_PAGE: Final = 10
_AT_ONCE: Final = {Channel.EMAIL: _PAGE, Channel.SMS: 1}
"""In one process. Whoever dies may have sent all that was on its way without writing it down. A
mail that comes twice has one Message-ID and is shown once; two SMS are two, so they go singly.
"""
_INSTANT: Final = timedelta(milliseconds=1)
"""The finest unit of stored times: what is due now is below now and this."""
_RECORD_TRIES: Final = 5
_RECORD_PAUSE_S: Final = 1.0
"""Times the number of the try."""
_log = structlog.get_logger(__name__)


class ChannelWorker:
    """Sends the messages of one channel.

    Args:
        sender: The way out.
        brand: What the service is called in messages.
        lease: How long nobody else sends what this has taken. Longer than any attempt.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        channel: Channel,
        sender: Sender,
        vault: Vault,
        brakes: Brakes,
        clock: Clock,
        brand: str,
        lease: timedelta = LEASE,
    ) -> None:
        self._messages = storage.documents(Message)
        self._channel = channel
        self._sender = sender
        self._vault = vault
        self._brakes = brakes
        self._clock = clock
        self._brand = brand
        self._lease = lease
        self._rest = Rest(clock)
        self._turns = asyncio.Semaphore(_AT_ONCE[channel])
        self._is_stopping = False
        self._batch: asyncio.Future[list[None]] | None = None

    async def work_due(self) -> bool:
        """Send what is due; tell whether there may be more."""
        if self._rest.is_on:
            return False
        due = await self._messages.page(
            {"channel": self._channel.value, "state": MessageState.WAITING.value},
            within=Range(field="due_at", below=self._clock() + _INSTANT),
            limit=_PAGE,
        )
        self._batch = asyncio.gather(*(self._work_on(message) for message in due))
        # Who stops in the middle of a conversation has to have it again: see `finish`.
        await asyncio.shield(self._batch)
        return len(due) == _PAGE

    async def finish(self, *, within_s: float) -> None:
        """Take nothing new and let what is on its way arrive; cut off what takes longer."""
        self._is_stopping = True
        if self._batch is None or self._batch.done():
            return
        await asyncio.wait([self._batch], timeout=within_s)
        if self._batch.cancel():
            with suppress(asyncio.CancelledError):
                await self._batch

    async def _work_on(self, message: Message) -> None:
        """Take a message and bring it one step further; what goes wrong is tried again later."""
        try:
            async with self._turns:
                if not (self._is_stopping or self._rest.is_on):
                    await self._step(message)
        except Exception as error:  # noqa: BLE001 - one message must not hold up the others
            # Its text may name the receiver; its kind does not.
            _log.warning("message_not_sent", message=message.id, error=type(error).__name__)

    async def _step(self, message: Message) -> None:
        mine = await self._take(message)
        if mine is None:
            return
        if mine.state is MessageState.WAITING:
            await self._attempt(mine)
        else:
            _tell(mine)

    async def _take(self, message: Message) -> Message | None:
        """Note that it is about to be sent, before it is; None if another process has it."""
        now = self._clock()
        if now >= message.ends_at:
            taken = _ended(message, MessageState.EXPIRED, now, reason=message.failure or "late")
        else:
            taken = replace(
                message,
                attempts=message.attempts + 1,
                # Taken before, and nobody wrote down what came of it: it may have been sent.
                doubts=message.doubts + message.is_in_flight,
                is_in_flight=True,
                due_at=now + self._lease,
                updated_at=now,
            )
        try:
            return await self._messages.replace(taken)
        except VersionConflict:
            return None

    async def _attempt(self, message: Message) -> None:
        letter = self._opened(message)
        reason = self._sender.refusal(letter.to)
        if reason is not None:
            await self._change(message, partial(_after, outcome=Outcome(Fate.REFUSED, reason)))
            return
        free_at = await self._brakes.take(
            self._sender.limits(letter.to), slot=f"{message.id}:{message.doubts}"
        )
        if free_at is not None:
            await self._change(message, partial(_braked, free_at=free_at))
            return
        outcome = await self._sent(letter)
        self._rest.note(is_their_fault=outcome.is_their_fault)
        await self._change(message, partial(_after, outcome=outcome))

    def _opened(self, message: Message) -> Letter:
        """Open a message and write it out."""
        if message.to is None or message.values is None:
            raise InvariantViolation("a waiting message has a receiver and values")
        to = self._vault.open(message.to, context=place(message.id, "to"))
        opened = self._vault.open(message.values, context=place(message.id, "values"))
        values = msgspec.json.decode(opened, type=dict[str, str])
        written = write(message.template, values, brand=self._brand)
        return Letter(
            id=message.id,
            to=to,
            template=message.template,
            subject=written.subject,
            text=written.text,
            html=written.html,
            short=written.short,
            values=values,
            created_at=message.created_at,
            seconds_left=int((message.ends_at - self._clock()).total_seconds()),
        )

    async def _sent(self, letter: Letter) -> Outcome:
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_S):
                return await self._sender.send(letter)
        except TimeoutError:
            return Outcome(Fate.UNCLEAR, "timeout", is_their_fault=True)

    async def _change(self, message: Message, change: Callable[..., Message]) -> None:
        """Write down what came of it, on whatever it has become, unless it has ended meanwhile.

        The database may be away just now. Forgetting what was sent would send it twice, so this
        does not give up at once.
        """
        for attempt in range(1, _RECORD_TRIES + 1):
            try:
                _tell(await self._messages.replace(change(message, now=self._clock())))
                return
            except VersionConflict:
                # Its seals were renewed, or the lease was over and somebody else has it now.
                stored = await self._messages.get(message.id)
                if stored is None or stored.state is not MessageState.WAITING:
                    return
                message = stored
            except GuilderError:
                if attempt == _RECORD_TRIES:
                    raise
                await asyncio.sleep(attempt * _RECORD_PAUSE_S)


def _after(message: Message, *, outcome: Outcome, now: datetime) -> Message:
    """Return what a message becomes by the end of an attempt. Pure."""
    match outcome.fate:
        case Fate.SENT:
            sent = _ended(message, MessageState.SENT, now, reason=None)
            return replace(sent, sent_at=now, reference=outcome.reference)
        case Fate.REFUSED:
            return _ended(message, MessageState.FAILED, now, reason=outcome.reason)
        case Fate.POSTPONED | Fate.UNCLEAR:
            due_at = next_attempt(now, attempts=message.attempts, ends_at=message.ends_at)
            if due_at is None:
                return _ended(message, MessageState.EXPIRED, now, reason=outcome.reason)
            return replace(
                message,
                due_at=due_at,
                failure=outcome.reason,
                is_in_flight=outcome.fate is Fate.UNCLEAR,
                updated_at=now,
            )


def _braked(message: Message, *, free_at: datetime, now: datetime) -> Message:
    """Put off a notice until there is room again. A code would be old by then: it ends."""
    is_code = message.ends_at - message.created_at < _NOTICE
    if is_code or free_at >= message.ends_at:
        return _ended(message, MessageState.FAILED, now, reason="too_many")
    # At least one instant later, whatever the clocks of several machines say.
    return replace(
        message,
        due_at=max(free_at, now + _INSTANT),
        attempts=message.attempts - 1,
        is_in_flight=False,
        failure="too_many",
        updated_at=now,
    )


_NOTICE: Final = timedelta(hours=1)
"""What is worth sending for longer than this is a notice, not a code."""


def _ended(message: Message, state: MessageState, now: datetime, *, reason: str | None) -> Message:
    """Return a message at its end: from here on nobody can read it, nor to whom it went."""
    return replace(
        message,
        state=state,
        to=None,
        values=None,
        is_in_flight=False,
        failure=reason,
        updated_at=now,
    )


def _tell(message: Message) -> None:
    """Log what has become of a message; never what it says, nor to whom."""
    level = {
        MessageState.SENT: _log.info,
        MessageState.WAITING: _log.warning,
        MessageState.FAILED: _log.error,
        MessageState.EXPIRED: _log.error,
    }[message.state]
    level(
        "message_" + message.state,
        message=message.id,
        channel=message.channel,
        template=message.template,
        attempts=message.attempts,
        reason=message.failure,
    )
