"""T18: processes that share nothing but the database send together, and one may be killed."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import parse_qs

from guilder.kernel.clock import utc_now
from guilder.notifications.models import MODELS, Channel, Message, MessageState
from guilder.notifications.outbox import Outbox
from guilder.storage import open_storage
from guilder.storage.base import Storage
from tests.support.databases import Database
from tests.support.identity import quick_vault
from tests.support.mail_server import mail_server
from tests.support.messages import SAMPLES
from tests.support.sms_company import sms_company

MESSAGES = 40
"""Of each channel."""
PROCESSES = 3
PATIENCE_S = 120


@contextlib.asynccontextmanager
async def workers(*arguments: object) -> AsyncIterator[list[Process]]:
    """Start processes; end those that still run."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.message_worker", *map(str, arguments)),
            stdin=PIPE,
            stdout=PIPE,
            cwd=Path(__file__).parents[3],
        )
        for _ in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        yield processes
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


async def until(is_true: Callable[[], bool]) -> None:
    while not is_true():  # noqa: ASYNC110 - servers of other people's making
        await asyncio.sleep(0.005)


async def put_all(storage: Storage) -> None:
    outbox = Outbox(storage, vault=quick_vault(), clock=utc_now)
    for number in range(MESSAGES):
        # Each in a block of its own.
        for channel, to in (
            (Channel.EMAIL, f"payer-{number}@example.com"),
            (Channel.SMS, f"+1202{555 + number}0123"),
        ):
            await outbox.put(
                None,
                channel=channel,
                to=to,
                template="new_device",
                values=SAMPLES["new_device"],
                user_id=None,
            )


async def test_t18_a_killed_process_costs_one_duplicate_and_loses_nothing(
    new_database: Database,
) -> None:
    storage = await open_storage(new_database.url, owner_url=new_database.owner_url)
    try:
        await storage.migrate(MODELS)
        await put_all(storage)
        async with mail_server() as server, sms_company() as company, asyncio.timeout(PATIENCE_S):
            async with workers(new_database.url, server.port, company.port) as processes:
                await until(lambda: len(server.taken) + len(company.asked) >= MESSAGES // 2)
                processes[0].kill()
                while not await _is_over(storage):  # noqa: ASYNC110 - in other processes
                    await asyncio.sleep(0.1)
            mails = Counter(taken.mail["Message-ID"] for taken in server.taken)
            receivers = {taken.receivers[0] for taken in server.taken}
            numbers = Counter(parse_qs(asked.body.decode())["To"][0] for asked in company.asked)
        # A mail that comes twice has one Message-ID: people see it once.
        assert len(mails) == len(receivers) == MESSAGES
        assert max(mails.values()) <= 2
        assert len(numbers) == MESSAGES
        assert sum(numbers.values()) <= MESSAGES + 1, "one visible duplicate for one kill"
    finally:
        await storage.close()


async def _is_over(storage: Storage) -> bool:
    found = await storage.documents(Message).page({}, limit=1000)
    states = {message.state for message in found}
    assert states <= {MessageState.WAITING, MessageState.SENT}, [each.failure for each in found]
    return states == {MessageState.SENT}
