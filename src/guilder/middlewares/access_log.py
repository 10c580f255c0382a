"""One line per request: what was asked, how it ended, how long it took. Never a query or a body."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guilder.middlewares.route_template import route_template

_CLIENT_LEFT: Final = 499
"""No status was sent: the client went away."""
_NS_PER_MS: Final = 1_000_000
_US_PER_MS: Final = 1_000
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})


class AccessLogMiddleware:
    """Logs each request when its answer has been sent.

    Fields: `method`, `path` (the route's template), `status`, `duration_ms`, `request_id`, and
    `user_id` of somebody signed in.
    """

    def __init__(
        self, app: ASGIApp, *, write: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        """Wrap `app`. `write` takes the fields of one line; by default structlog does."""
        self.app = app
        self.write = write or _to_structlog

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time the request and log it."""
        if scope["type"] != "http" or scope["path"] in _QUIET:
            await self.app(scope, receive, send)
            return
        began = time.perf_counter_ns()
        status = _CLIENT_LEFT

        def send_noted(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        try:
            await self.app(scope, receive, send_noted)
        finally:
            self.write(_line(scope, status, time.perf_counter_ns() - began))


def _line(scope: Scope, status: int, duration_ns: int) -> dict[str, Any]:
    """Return the fields of one line."""
    state = scope.get("state", {})
    line = {
        "method": scope["method"],
        "path": route_template(scope),
        "status": status,
        "duration_ms": duration_ns // (_NS_PER_MS // _US_PER_MS) / _US_PER_MS,
        "request_id": state.get("request_id", ""),
    }
    # A refused credential is remembered there too; it is nobody's.
    user_id = getattr(state.get("principal"), "user_id", None)
    if user_id is not None:
        line["user_id"] = user_id
    return line


def _to_structlog(line: dict[str, Any]) -> None:
    """Log a line like any other."""
    structlog.get_logger("guilder.access").info("request", **line)
