"""Refuses addresses that two readers could read in two ways, or that are far too long."""

import re
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send

from guilder.kernel.errors import Malformed
from guilder.middlewares.problems import render

QUERY_BYTES_MAX = 4_096
PATH_BYTES_MAX = 1_024
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|%00")


class StrictUrlMiddleware:
    """Lets through well-formed percent-encoding of valid UTF-8 without NUL, each name once.

    A NUL would reach the database, which refuses it in any text. A broken escape is read as
    itself by some and dropped by others.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the address."""
        if scope["type"] == "http":
            fault = _fault(scope.get("raw_path") or b"", scope["query_string"])
            if fault is not None:
                await render(Malformed(fault), scope)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _names_one_twice(query: bytes) -> bool:
    """Tell whether two parameters have one name: some readers take the first, some the last."""
    names = [unquote_to_bytes(part.partition(b"=")[0]) for part in query.split(b"&") if part]
    return len(set(names)) < len(names)


def _fault(path: bytes, query: bytes) -> str | None:
    """Return what is wrong with an address, if anything is."""
    if len(path) > PATH_BYTES_MAX:
        return f"The path is longer than {PATH_BYTES_MAX} bytes."
    if len(query) > QUERY_BYTES_MAX:
        return f"The query is longer than {QUERY_BYTES_MAX} bytes."
    if b"&" in query and _names_one_twice(query):
        return "A query parameter appears twice."
    if b"%" not in path and b"%" not in query:
        return None
    both = path + b"?" + query
    if _BAD_ESCAPE.search(both):
        return "The address has a broken percent-encoding or a NUL."
    try:
        unquote_to_bytes(both).decode()
    except UnicodeDecodeError:
        return "The address is not valid UTF-8."
    return None
