"""Refuses JSON bodies that two readers could read in two ways. For routes off the hot path."""

import json
import re
from typing import Any

from starlette.requests import Request

from guilder.kernel.errors import Malformed
from guilder.middlewares.validation import is_json

_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
"""An escape that may be a NUL or half of a character. Few bodies have one: only they are searched
further, which takes longer than reading them."""
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""An escape that an even number of backslashes stands before: a real NUL, not text about one."""


async def refuse_ambiguous_json(request: Request) -> None:
    """Refuse a JSON body with a name twice in one object, a NUL, NaN, a lone surrogate, no UTF-8.

    A dependency of every framework route; the routes of the money path bring their own decoder.
    Form posts and bodies that a route reads raw (webhooks, whose bytes are signed) are left alone.

    Raises:
        Malformed: The body is one of those.
    """
    if request.method in {"GET", "HEAD"} or not _is_read_as_json(request):
        return
    body = await request.body()
    if body:
        check_json(body)


def check_json(body: bytes) -> None:
    """Raise `Malformed` unless the bytes are unambiguous JSON."""
    try:
        value = _DECODER.decode(body.decode())
        if _ESCAPE.search(body):
            _check_characters(value)
    except (ValueError, RecursionError) as error:
        raise Malformed("The body is not valid JSON.") from error


def _check_characters(value: object) -> None:
    """Write the value out again: that finds lone surrogates, and each NUL as its escape."""
    text = json.dumps(value, ensure_ascii=False)
    text.encode()
    if _NUL.search(text):
        raise Malformed("The body has a NUL character.")


def _is_read_as_json(request: Request) -> bool:
    """Tell whether the route declares a JSON body."""
    if not is_json(request.headers):
        return False
    return getattr(request.scope.get("route"), "body_field", None) is not None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs, if each name is there once."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Malformed("A name appears twice in one object.")
    return result


def _no_constant(name: str) -> None:
    """Refuse `NaN` and `Infinity`, which JSON does not have."""
    raise Malformed(f"{name} is not JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_once_each, parse_constant=_no_constant)
"""Made once: `json.loads` with hooks makes one for every call."""
