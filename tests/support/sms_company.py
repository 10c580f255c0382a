"""A server of the shape of Twilio's, in the test process, which does as it is told."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from guilder.notifications.sms import SmsConfig

ACCOUNT = "AC" + "0a" * 16
TOKEN = "a token of the account"
SID = "SM" + "1b" * 16
HANG = "hang"
DROP = "drop"


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class SmsCompany:
    """What the server has seen, and what it will answer: status and body, `HANG` or `DROP`."""

    port: int = 0
    answers: list[tuple[int, Any] | str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def config(self, **changes: Any) -> SmsConfig:
        """Return where it is."""
        values: dict[str, Any] = {
            "account": ACCOUNT,
            "token": TOKEN,
            "sent_from": "+12025550100",
            "api_url": f"http://127.0.0.1:{self.port}",
            **changes,
        }
        return SmsConfig(**values)


def taken(**changes: Any) -> tuple[int, Any]:
    """Return what a message is answered with that is taken."""
    return 201, {"sid": SID, "status": "queued", "error_code": None, **changes}


def refused(code: int, status: int = 400) -> tuple[int, Any]:
    """Return what a message is answered with that is not."""
    return status, {"code": code, "message": "The 'To' number +12025550123 is not valid."}


@contextlib.asynccontextmanager
async def sms_company() -> AsyncIterator[SmsCompany]:
    """Run one on loopback."""
    told = SmsCompany()
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations.add(task)
        try:
            # Cancelled at the end; what a server's own callback is told of that it complains about.
            with contextlib.suppress(asyncio.CancelledError):
                while await _answer(told, reader, writer):
                    pass
        finally:
            writer.close()
            conversations.discard(task)

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    told.port = server.sockets[0].getsockname()[1]
    try:
        yield told
    finally:
        server.close()
        for task in list(conversations):
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)
        await server.wait_closed()


async def _answer(
    told: SmsCompany, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Answer one request; tell whether there may be another one."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    line, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = line.split(" ")
    told.asked.append(Asked(method, path, headers, body))
    answer = told.answers.pop(0) if told.answers else taken()
    if answer == HANG:
        await asyncio.Event().wait()
    if isinstance(answer, str):
        return False
    status, content = answer
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    writer.write(
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
        f"content-length: {len(raw)}\r\n\r\n".encode()
        + raw
    )
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    return True
