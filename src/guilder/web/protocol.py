"""uvicorn's HTTP/1.1 protocol with the limits it lacks: header bytes, slow senders, problems."""

import asyncio
from typing import Any, ClassVar

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from guilder.kernel.errors import GuilderError, Kind, Malformed
from guilder.middlewares.problems import MEDIA_TYPE, problem, render
from guilder.middlewares.request_id import new_request_id

HEADER_BYTES_MAX = 16_384
HEADERS_MAX = 100
REQUEST_TIMEOUT_S = 20
LINGER_S = 1


class TooManyConnections(GuilderError):
    """The server holds as many connections as it can serve well, and no more."""

    code = "too_many_connections"
    kind = Kind.UNAVAILABLE
    title = "Too many connections"
    retryable = True


async def _too_many(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - uvicorn's types
    """Answer a connection beyond the limit, and close it."""
    scope["state"] = {"request_id": new_request_id()}
    response = render(TooManyConnections(retry_after_s=1), scope)
    response.headers["Connection"] = "close"
    response.headers["Request-Id"] = scope["state"]["request_id"]
    await response(scope, receive, send)


class HttpProtocol(HttpToolsProtocol):
    """One connection.

    Invariants:
        A request line with its headers that passes `header_bytes_max`, or `HEADERS_MAX` in
        number, is refused before the rest is kept. A connection that is owed a whole request for
        longer than `request_timeout_s` is closed, however it trickles.
        What cannot be parsed is answered with problem+json, as everything else.
    """

    header_bytes_max: ClassVar[int] = HEADER_BYTES_MAX
    request_timeout_s: ClassVar[float] = REQUEST_TIMEOUT_S

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._header_bytes = 0
        self._unread_header_bytes = 0
        self._in_headers = True
        self._is_refused = False
        self._receiving_since: float | None = None
        self._watchdog: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to expect a request."""
        super().connection_made(transport)
        self._receiving_since = self.loop.time()
        self._watchdog = self.loop.call_later(self.request_timeout_s, self._watch)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived. Whatever is kept of unfinished headers is counted first."""
        if self._is_refused or self.transport.is_closing():
            return
        if self._in_headers:
            self._unread_header_bytes += len(data)
        super().data_received(data)
        if self._in_headers and self._unread_header_bytes > self.header_bytes_max:
            self._refuse(f"The headers are longer than {self.header_bytes_max} bytes.")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_headers = True
        self._header_bytes = 0
        self._receiving_since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target, within the limit."""
        self._header_bytes += len(url)
        if self._header_bytes <= self.header_bytes_max:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, within the limits."""
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes <= self.header_bytes_max:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request over, unless it was too much."""
        self._in_headers = False
        self._unread_header_bytes = 0
        if self._is_refused:
            return
        if self._header_bytes > self.header_bytes_max or len(self.headers) > HEADERS_MAX:
            self._refuse("The headers are too long or too many.")
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop the clock: nothing is owed any more."""
        self._receiving_since = None
        self._in_headers = True
        if not self._is_refused:
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401
        """Start to answer; a refusal by the server itself in our own words."""
        super()._start_asgi_task(cycle, _too_many if app is service_unavailable else app)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        if not self._is_refused:
            self._refuse(msg)

    def _refuse(self, detail: str) -> None:
        """Answer with a problem and close."""
        self._is_refused = True
        request_id = new_request_id()
        scope = {"path": "", "state": {"request_id": request_id}}
        body = msgspec.json.encode(problem(Malformed(detail), scope))
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\n"
            b"content-type: %b\r\ncontent-length: %d\r\nrequest-id: %b\r\n"
            b"x-content-type-options: nosniff\r\ncache-control: no-store\r\n"
            b"connection: close\r\n\r\n%b"
            % (MEDIA_TYPE.encode(), len(body), request_id.encode(), body)
        )
        # Closing on unread bytes would reset the connection, and nobody would see the answer.
        # So we only stop to write, and throw away what still comes for a moment.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)

    def _watch(self) -> None:
        """Close the connection if a request has been arriving for too long, else look again."""
        if self.transport.is_closing():
            return
        since = self._receiving_since
        now = self.loop.time()
        if since is not None and now - since >= self.request_timeout_s:
            self.transport.close()
            return
        wait = self.request_timeout_s if since is None else since + self.request_timeout_s - now
        self._watchdog = self.loop.call_later(wait, self._watch)


def limited_protocol(*, header_bytes_max: int, request_timeout_s: float) -> type[HttpProtocol]:
    """Return the protocol with these limits, as uvicorn wants it: a class."""
    limits = {"header_bytes_max": header_bytes_max, "request_timeout_s": request_timeout_s}
    return type("LimitedHttpProtocol", (HttpProtocol,), limits)
