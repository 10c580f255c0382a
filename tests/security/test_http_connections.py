"""Strangers at the socket: garbage, endless headers, slow senders, crowds. It goes on serving."""

import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator

import pytest

from tests.support.http import Running
from tests.support.shared_guilder import Start


async def exchange(guilder: Running, sent: bytes, *, wait_s: float = 10) -> bytes:
    """Send bytes and read until the server closes."""
    reader, writer = await asyncio.open_connection(*guilder.address)
    try:
        writer.write(sent)
        async with asyncio.timeout(wait_s):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def parts(answer: bytes) -> tuple[int, dict[str, object]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"HELLO WORLD\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"\x00" * 1000,
    ],
)
async def test_what_is_not_http_is_refused(guilder: Running, sent: bytes) -> None:
    answer = await exchange(guilder, sent)
    assert answer == b"" or parts(answer)[0] == 400


@pytest.mark.parametrize(
    "where", ["one header", "many headers", "the target", "a name", "a trickle"]
)
async def test_headers_are_limited(guilder: Running, where: str) -> None:
    sent = {
        "one header": b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000,
        "many headers": b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(20_000)),
        "the target": b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n",
        "a name": b"GET / HTTP/1.1\r\n" + b"x" * 200_000,
        "a trickle": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n",
    }[where]
    status, body = parts(await exchange(guilder, sent))
    assert status == 400
    assert body["code"] == "malformed"


async def test_endless_headers_end(guilder: Running) -> None:
    """Without the limit this sends 64 MiB of headers, and the server keeps all of it."""
    reader, writer = await asyncio.open_connection(*guilder.address)
    writer.write(b"GET / HTTP/1.1\r\n")
    sent = 0
    try:
        async with asyncio.timeout(20):
            while sent < 64 * 2**20 and not reader.at_eof():
                writer.write(b"X-Filler: " + b"x" * 60_000 + b"\r\n")
                await writer.drain()
                sent += 60_000
                if reader.at_eof() or await _has_answer(reader):
                    break
    except ConnectionError:
        pass
    finally:
        writer.close()
    assert sent < 8 * 2**20


async def _has_answer(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.001):
            return bool(await reader.read(1))
    except TimeoutError:
        return False


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET / HTTP/1.1\r\nX: ", b"POST /v1/login HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"],
    ids=["silence", "half a header", "half a body"],
)
async def test_slow_senders_are_cut_off(start: Start, begun: bytes) -> None:
    async with start(request_timeout_s=1) as other:
        began = time.monotonic()
        await exchange(other, begun, wait_s=8)
        assert 0.5 < time.monotonic() - began < 5


async def test_a_trickle_does_not_buy_time(start: Start) -> None:
    async with start(request_timeout_s=1) as other:
        reader, writer = await asyncio.open_connection(*other.address)
        writer.write(b"GET / HTTP/1.1\r\n")
        began = time.monotonic()
        async with asyncio.timeout(8):
            while not reader.at_eof() and time.monotonic() - began < 6:
                writer.write(b"X: y\r\n")
                async with _patience(0.1):
                    await reader.read()
        writer.close()
        assert time.monotonic() - began < 5


class _patience:  # noqa: N801 - reads like a word
    def __init__(self, seconds: float) -> None:
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *exc: object) -> bool:
        try:
            await self._timeout.__aexit__(*exc)  # type: ignore[arg-type]
        except TimeoutError:
            return True
        return isinstance(exc[1], ConnectionError)


async def test_a_crowd_of_garbage_leaves_the_server_serving(guilder: Running) -> None:
    before = _peak_memory_kib()
    async for _ in _crowd(guilder, 500):
        assert (await guilder.client.get("/healthz")).status_code == 200
    assert (await guilder.client.get("/readyz")).status_code == 200
    assert _peak_memory_kib() - before < 64 * 1024


def _peak_memory_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def _crowd(guilder: Running, size: int) -> AsyncIterator[None]:
    """Open many connections that each begin something and never end it."""
    begun = [
        b"GET / HTTP/1.1\r\nX: " + b"x" * 8_000,
        b"\x16\x03\x01" * 100,
        b"POST /v1/login HTTP/1.1\r\nContent-Length: 60000\r\n\r\n" + b"{" * 1_000,
        b"",
    ]
    opened = await asyncio.gather(*(asyncio.open_connection(*guilder.address) for _ in range(size)))
    for number, (_, writer) in enumerate(opened):
        writer.write(begun[number % len(begun)])
    yield
    for _, writer in opened:
        writer.close()


async def test_connections_beyond_the_limit_are_told_to_come_back(start: Start) -> None:
    async with start(connections_max=16) as other:
        held = [await asyncio.open_connection(*other.address) for _ in range(20)]
        answer = await exchange(other, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        status, body = parts(answer)
        assert status == 503
        assert body["code"] == "too_many_connections"
        assert b"retry-after: 1" in answer.lower()
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(5):
            while (await other.client.get("/healthz")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_pipelined_requests_are_answered_in_order(guilder: Running) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\nRequest-Id: number-%d\r\n%b\r\n"
    sent = b"".join(one % (n, b"Connection: close\r\n" if n == 9 else b"") for n in range(10))
    answer = await exchange(guilder, sent)
    found = [line for line in answer.decode().split("\r\n") if line.startswith("request-id")]
    assert found == [f"request-id: number-{n}" for n in range(10)]
