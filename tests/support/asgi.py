"""One request straight into an ASGI layer, without a server."""

import json
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Scope


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)


def scope_of(path: str = "/", **more: Any) -> Scope:
    """Return the scope of a GET request; `client` is an address, `headers` a dict."""
    client, headers = more.pop("client", "192.0.2.1"), more.pop("headers", {})
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": (client, 1) if client else None,
        "state": {},
        **more,
    }


async def answer(layer: ASGIApp, scope: Scope, body: tuple[bytes, ...] = (b"",)) -> Answer:
    """Send a request, its body in these pieces, and collect what comes back."""
    pieces = list(body)
    sent: list[Message] = []

    async def receive() -> Message:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        sent.append(message)

    await layer(scope, receive, send)
    start = sent[0]
    headers = {name.decode(): value.decode() for name, value in start.get("headers", ())}
    return Answer(start["status"], headers, b"".join(m.get("body", b"") for m in sent[1:]))
