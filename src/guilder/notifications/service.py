"""Puts the parts together: the outbox, a worker for each channel, and the sweeping."""

import asyncio
from collections.abc import Mapping
from typing import Final

from guilder.kernel.clock import Clock
from guilder.ledger.background import BackgroundTask
from guilder.notifications.brakes import Brakes
from guilder.notifications.mailbox import Mailbox
from guilder.notifications.models import Brake, Channel, Message
from guilder.notifications.outbox import Outbox
from guilder.notifications.sending import NoSender, Sender
from guilder.notifications.worker import ChannelWorker
from guilder.storage.base import Range, Storage
from guilder.vault.vault import Vault

_EVERY_MS: Final = 1_000
_SWEEP_EVERY_MS: Final = 60_000
_PAGE: Final = 500
_FINISH_S: Final = 10
_SOON_S: Final = (0.05, 0.3)
"""After a message was put: most transactions have committed by then. The rest is found later."""


class Notifications:
    """Everything that tells people things.

    Args:
        senders: The ways out that are set up.
        mailbox: Takes what has no way out; None outside of development, where it waits.
        brand: What the service is called in messages.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        vault: Vault,
        clock: Clock,
        senders: Mapping[Channel, Sender],
        mailbox: Mailbox | None,
        brand: str,
    ) -> None:
        self.mailbox = mailbox
        self.outbox = Outbox(storage, vault=vault, clock=clock, on_put=self._wake_soon)
        self._storage = storage
        self._clock = clock
        self._senders = {
            channel: senders.get(channel) or (mailbox.slot(channel) if mailbox else NoSender())
            for channel in Channel
        }
        brakes = Brakes(storage, vault=vault, clock=clock)
        self._workers = {
            channel: ChannelWorker(
                storage,
                channel=channel,
                sender=sender,
                vault=vault,
                brakes=brakes,
                clock=clock,
                brand=brand,
            )
            for channel, sender in self._senders.items()
        }
        self._tasks = {
            channel: BackgroundTask(f"send {channel}", worker.work_due, every_ms=_EVERY_MS)
            for channel, worker in self._workers.items()
        }
        self._sweeper = BackgroundTask("sweep messages", self.sweep, every_ms=_SWEEP_EVERY_MS)

    def start(self) -> None:
        """Begin to send."""
        for task in (*self._tasks.values(), self._sweeper):
            task.start()

    async def stop(self) -> None:
        """Stop sending. What is on its way has ten seconds to arrive."""
        for task in (*self._tasks.values(), self._sweeper):
            await task.stop()
        ends = (worker.finish(within_s=_FINISH_S) for worker in self._workers.values())
        await asyncio.gather(*ends)
        for sender in self._senders.values():
            await sender.aclose()

    async def sweep(self) -> bool:
        """Remove what is long over; tell whether more is due."""
        more = await self.mailbox.sweep() if self.mailbox else False
        within = Range(field="remove_at", below=self._clock())
        for model in (Message, Brake):
            over = await self._storage.documents(model).page({}, within=within, limit=_PAGE)
            for each in over:
                await self._storage.documents(model).delete(each.id)
            more = more or len(over) == _PAGE
        return more

    def _wake_soon(self, channel: Channel) -> None:
        task = self._tasks[channel]
        loop = asyncio.get_running_loop()
        for delay_s in _SOON_S:
            loop.call_later(delay_s, task.wake)
