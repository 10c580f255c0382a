"""A client that costs little: keep-alive connections that send transfers one after the other.

It runs in a process of its own, and shares two cores with the server and the database.
"""

import asyncio
import functools
import json
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

import uvloop


@dataclass(frozen=True)
class Payer:
    """Somebody who is signed in and has money."""

    token: str
    wallet_id: str


@dataclass
class Result:
    """What came back. `latencies_ms` only of answers that were 201.

    Args:
        seconds: How long it took.
        processor_s: What the client used of the processor meanwhile.
    """

    seconds: float = 0.0
    processor_s: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)


class _Client(asyncio.Protocol):
    """One connection: sends the next request when the answer to the last is complete."""

    def __init__(self, payer: Payer, others: list[str], result: Result) -> None:
        self._payer = payer
        self._others = others
        self._result = result
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._choose = random.Random(payer.wallet_id)
        self.is_stopping = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            if not self.is_stopping:
                self._result.statuses[0] += 1
            self.done.set_result(exc)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lower = head.lower()
        length = int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer = b""
        status = int(head[9:12])
        self._result.statuses[status] += 1
        if status == 201:
            self._result.latencies_ms.append((time.perf_counter() - self._sent_at) * 1000)
        self._send()

    def _send(self) -> None:
        if self._transport is None or self.is_stopping:
            if self._transport is not None:
                self._transport.close()
            return
        body = json.dumps(
            {
                "amount": 1,
                "currency": "USD",
                "to": {"wallet_id": self._choose.choice(self._others)},
                "description": "benchmark",
            }
        )
        self._sent_at = time.perf_counter()
        self._transport.write(
            f"POST /v1/wallet/transfer HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {self._payer.token}\r\nIdempotency-Key: {uuid.uuid4()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )


def run_load(
    payers: list[Payer], host: str, port: int, *, connections: int, seconds: float
) -> Result:
    """Have the first payers send transfers, each over one connection; return what came back."""
    return uvloop.run(_run(payers, host, port, connections=connections, seconds=seconds))


async def _run(
    payers: list[Payer], host: str, port: int, *, connections: int, seconds: float
) -> Result:
    result = Result()
    loop = asyncio.get_running_loop()
    wallets = [payer.wallet_id for payer in payers]
    clients = []
    started = time.perf_counter()
    for payer in payers[:connections]:
        others = [wallet for wallet in wallets if wallet != payer.wallet_id]
        make = functools.partial(_Client, payer, others, result)
        _, client = await loop.create_connection(make, host, port)
        clients.append(client)
    used = time.process_time()
    await asyncio.sleep(seconds)
    result.seconds = time.perf_counter() - started
    result.processor_s = time.process_time() - used
    for client in clients:
        client.is_stopping = True
    async with asyncio.timeout(30):
        await asyncio.gather(*(client.done for client in clients))
    return result
