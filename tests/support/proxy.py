"""A TCP proxy in front of a database that knows a COMMIT when it sees one, and what can happen
then."""

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from enum import StrEnum
from types import TracebackType
from typing import Self

_BEFORE_START = {80877102, 80877103, 80877104}
"""Codes of the messages that may come before the start-up message: cancel, TLS, GSS."""
_MONGO_COMMIT = b"\x10commitTransaction\x00"
"""The first field of a command is its name; its value is a 32-bit 1."""
_MONGO_NAME_ENDS = 64
_READ = 65_536


class Fate(StrEnum):
    """What happens to one COMMIT."""

    PASS = "pass"
    """Nothing."""
    LOSE_ANSWER = "lose_answer"
    """The server commits and answers; the answer is thrown away and the connection cut."""
    LOSE_COMMIT = "lose_commit"
    """The server never sees it; the connection is cut."""
    RESET = "reset"
    """It is sent on and the connection is cut at once: nobody can know what the server did."""
    HALF_ANSWER = "half_answer"
    """The first bytes of the answer arrive, then the connection is cut."""


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.fate = Fate.PASS
        self.is_lost = False

    def cut(self) -> None:
        """Reset both sides, as a network does that has gone."""
        self.client.transport.abort()
        self.server.transport.abort()


class Proxy:
    """Listens on loopback and passes everything on to `host:port`, as badly as it is told to.

    Args:
        host: Of the database.
        port: Of the database.
        messages: How its clients speak; as PostgreSQL's do, if not said.

    Attributes:
        fate: Asked at every COMMIT.
        piece_bytes: If set, both directions arrive in pieces of so many bytes.
        latency_s: Added to everything, in both directions.
        commits: COMMITs seen.
        met: How many of them met which fate.
    """

    def __init__(self, host: str, port: int, *, messages: "Messages | None" = None) -> None:
        self._upstream = (host, port)
        self._messages = messages or postgres_messages
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.fate: Callable[[], Fate] = lambda: Fate.PASS
        self.piece_bytes: int | None = None
        self.latency_s = 0.0
        self.commits = 0
        self.met: Counter[Fate] = Counter()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        self.cut_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_all(self) -> None:
        """Cut every connection."""
        for link in list(self._links):
            link.cut()

    def stop_flow(self) -> None:
        """Swallow everything, old connections and new, without a word, until `resume_flow`."""
        self._flows.clear()

    def resume_flow(self) -> None:
        """Pass on what was kept back, and what comes."""
        self._flows.set()

    def lose_connections(self) -> int:
        """Forget the connections there are: nothing passes, nobody is told. New ones work."""
        for link in self._links:
            link.is_lost = True
        return len(self._links)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        try:
            from_server, to_server = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, to_server)
        self._links.add(link)
        pumps = (self._requests(link, reader), self._answers(link, from_server))
        for pump in pumps:
            task = asyncio.create_task(self._until_lost(link, pump))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _until_lost(self, link: _Link, pump: Coroutine[None, None, None]) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await pump
        finally:
            # A lost connection stays open: that is what makes it a black hole.
            if not link.is_lost:
                self._links.discard(link)
                link.cut()

    async def _requests(self, link: _Link, reader: asyncio.StreamReader) -> None:
        async for is_commit, message in self._messages(reader):
            if is_commit:
                self.commits += 1
                link.fate = self.fate()
                self.met[link.fate] += 1
                if link.fate is Fate.LOSE_COMMIT:
                    return
            await self._send(link, link.server, message)
            if link.fate is Fate.RESET:
                return

    async def _answers(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_READ):
            if link.fate is Fate.LOSE_ANSWER:
                return
            if link.fate is Fate.HALF_ANSWER:
                await self._send(link, link.client, data[:5])
                return
            await self._send(link, link.client, data)

    async def _send(self, link: _Link, to: asyncio.StreamWriter, data: bytes) -> None:
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        await self._flows.wait()
        if link.is_lost:
            await asyncio.Event().wait()
        size = self.piece_bytes or len(data)
        for start in range(0, len(data), size):
            to.write(data[start : start + size])
            await to.drain()
            await asyncio.sleep(0)


Messages = Callable[[asyncio.StreamReader], AsyncIterator[tuple[bool, bytes]]]
"""Takes a client's bytes apart into whole messages, and says which of them is a COMMIT."""


async def postgres_messages(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bool, bytes]]:
    """Take apart what a client of PostgreSQL sends: a type (none before the start), a length."""
    has_started = False
    while True:
        try:
            kind = await reader.readexactly(1) if has_started else b""
            length = await reader.readexactly(4)
        except asyncio.IncompleteReadError:
            return
        (size,) = struct.unpack("!i", length)
        body = await reader.readexactly(size - 4)
        if not has_started:
            has_started = struct.unpack("!i", body[:4])[0] not in _BEFORE_START
        is_commit = kind == b"Q" and body.lstrip().upper().startswith(b"COMMIT")
        yield is_commit, kind + length + body


async def mongo_messages(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bool, bytes]]:
    """Take apart what a client of MongoDB sends: a length, then a header and a command."""
    while True:
        try:
            length = await reader.readexactly(4)
        except asyncio.IncompleteReadError:
            return
        (size,) = struct.unpack("<i", length)
        body = await reader.readexactly(size - 4)
        yield _MONGO_COMMIT in body[:_MONGO_NAME_ENDS], length + body
