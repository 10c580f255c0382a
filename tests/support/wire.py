"""The least HTTP/1.1 client that keeps a connection alive: thousands of requests a second from one
process, and nothing between a test and what really came over the wire."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import msgspec

LOST = (OSError, EOFError, TimeoutError)
"""What a request may end in without an answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came. Names of headers in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def is_replayed(self) -> bool:
        return self.headers.get("idempotent-replayed") == "true"


class Wire:
    """One connection to a server, made again when it was lost."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 30.0) -> None:
        self._address = (host, port)
        self._timeout_s = timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop()

    def drop(self) -> None:
        """Reset the connection."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Send a request and read the answer.

        Args:
            headers: Their names with `_` for `-`.

        Raises:
            OSError, EOFError, TimeoutError: There was no whole answer. What was asked for may
                have been done.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self.send(method, path, body, **headers)
                return await self.receive()
        except BaseException:
            self.drop()
            raise

    async def send(self, method: str, path: str, body: object = None, **headers: str) -> None:
        """Send a request and do not wait."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        content = b"" if body is None else msgspec.json.encode(body)
        lines = [f"{method} {path} HTTP/1.1", "Host: guilder", f"Content-Length: {len(content)}"]
        if body is not None:
            lines.append("Content-Type: application/json")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer = self._streams[1]
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        await writer.drain()

    async def receive(self) -> Reply:
        """Read the answer to what was sent."""
        if self._streams is None:
            raise ConnectionError
        reader = self._streams[0]
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(_header(line) for line in head[1:] if line)
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        except LOST:
            self.drop()
            raise
        if headers.get("connection") == "close":
            self.drop()
        return Reply(int(head[0].split()[1]), headers, body)


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()
