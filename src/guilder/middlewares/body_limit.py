"""Refuses bodies that are too large, by what is declared or else by what arrives."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guilder.middlewares.errors import BodyTooLarge
from guilder.middlewares.problems import STATUS, render

LIMIT_BYTES = 65_536


class BodyLimitMiddleware:
    """Lets at most `limit_bytes` of a request body through.

    A declared length is checked before a byte is read. A body without one (chunked) is counted
    as it streams. The server itself never delivers more than was declared.
    """

    def __init__(self, app: ASGIApp, *, limit_bytes: int = LIMIT_BYTES) -> None:
        """Wrap `app`."""
        self.app = app
        self.limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the length, or count."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = _declared(scope)
        if declared is None:
            await self.app(scope, self._counted(receive), send)
        elif declared <= self.limit_bytes:
            await self.app(scope, receive, send)
        else:
            # The connection stays open: closing it on unread bytes would reset it, and the
            # client would never see this answer. The server throws the rest away.
            await render(self._refusal(), scope)(scope, receive, send)

    def _refusal(self) -> BodyTooLarge:
        """Say what the limit is."""
        return BodyTooLarge(f"At most {self.limit_bytes} bytes are read.")

    def _counted(self, receive: Receive) -> Receive:
        """Return `receive` with a counter that raises beyond the limit."""
        seen = 0

        async def counting() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.limit_bytes:
                refusal = self._refusal()
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
