"""Refuses bodies that are too large, by what is declared or else by what arrives."""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guilder.middlewares.errors import BodyTooLarge
from guilder.middlewares.problems import STATUS, render

LIMIT_BYTES = 65_536


class BodyLimitMiddleware:
    """Lets at most `limit_bytes` of a request body through; at some paths another number.

    A declared length is checked before a byte is read. A body without one (chunked) is counted
    as it streams. The server itself never delivers more than was declared.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit_bytes: int = LIMIT_BYTES,
        limits_by_path: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Wrap `app`; `limits_by_path` has bytes too."""
        self.app = app
        self.limit_bytes = limit_bytes
        self.limits_by_path = limits_by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the length, or count."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limits_by_path.get(scope["path"], self.limit_bytes)
        declared = _declared(scope)
        if declared is None:
            await self.app(scope, _counted(receive, limit), send)
        elif declared <= limit:
            await self.app(scope, receive, send)
        else:
            # The connection stays open: closing it on unread bytes would reset it, and the
            # client would never see this answer. The server throws the rest away.
            await render(_refusal(limit), scope)(scope, receive, send)


def _refusal(limit: int) -> BodyTooLarge:
    """Say what the limit is."""
    return BodyTooLarge(f"At most {limit} bytes are read.")


def _counted(receive: Receive, limit: int) -> Receive:
    """Return `receive` with a counter that raises beyond the limit."""
    seen = 0

    async def counting() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            refusal = _refusal(limit)
            # As the framework's own class: it lets no other pass while it reads a body.
            raise HTTPException(STATUS[refusal.kind], refusal.detail)
        return message

    return counting


def _declared(scope: Scope) -> int | None:
    """Return the declared length of the body; 0 if there is none, None if only reading tells."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
        if name == b"transfer-encoding":
            return None
    return 0
