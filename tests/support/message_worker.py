"""A process that sends what waits: told by its arguments where the database and the ways out are.

It says `ready`, and ends when its standard input does. Its lease is short, so that a test need not
wait for what a killed one had taken.
"""

import asyncio
import sys
from datetime import timedelta

from guilder.kernel.clock import utc_now
from guilder.notifications.brakes import Brakes
from guilder.notifications.models import Channel
from guilder.notifications.sending import Sender
from guilder.notifications.sms import SmsSender
from guilder.notifications.smtp import SmtpSender
from guilder.notifications.worker import ChannelWorker
from guilder.storage import open_storage
from tests.support.identity import quick_vault
from tests.support.messages import smtp_config
from tests.support.sms_company import SmsCompany

LEASE = timedelta(seconds=5)


async def main(url: str, mail_port: int, sms_port: int) -> None:
    storage = await open_storage(url)
    vault = quick_vault()
    senders: dict[Channel, Sender] = {
        Channel.EMAIL: SmtpSender(smtp_config(mail_port)),
        Channel.SMS: SmsSender(SmsCompany(sms_port).config()),
    }
    workers = [
        ChannelWorker(
            storage,
            channel=channel,
            sender=sender,
            vault=vault,
            brakes=Brakes(storage, vault=vault, clock=utc_now),
            clock=utc_now,
            brand="Guilder",
            lease=LEASE,
        )
        for channel, sender in senders.items()
    ]
    print("ready", flush=True)  # noqa: T201 - whoever started it waits for that
    ended = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    try:
        while not ended.done():
            for worker in workers:
                await worker.work_due()
            await asyncio.wait([ended], timeout=0.05)
    finally:
        for sender in senders.values():
            await sender.aclose()
        await storage.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
