"""Reaches other companies over HTTP. Their answers are untrusted, and bounded in every way."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
import msgspec

from guilder.identity.outside.config import ProviderConfig
from guilder.identity.outside.errors import OutsideAnswerRefused, OutsideUnavailable

ANSWER_MAX: Final = 262_144
"""Bytes of an answer that are read: the largest honest one, a set of keys, has a few thousand."""
_OK: Final = 200
_TROUBLE: Final = 500
_TOO_MANY: Final = 429
_read_object = msgspec.json.Decoder(dict[str, Any]).decode


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Gives up on an answer that is too long, however it is packed."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._transport = httpx2.AsyncHTTPTransport(retries=0)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the whole answer of one request; redirects are not followed.

        Raises:
            ReadError: It is longer than `ANSWER_MAX`.
        """
        # Unpacked, a short answer can be endless: none that is packed is asked for or read.
        request.headers["Accept-Encoding"] = "identity"
        answer = await self._transport.handle_async_request(request)
        try:
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise httpx2.ReadError("packed", request=request)
            body = bytearray()
            async for piece in answer.stream:  # type: ignore[union-attr]
                body += piece
                if len(body) > ANSWER_MAX:
                    raise httpx2.ReadError("too long", request=request)
        finally:
            await answer.aclose()
        return httpx2.Response(
            answer.status_code, headers=answer.headers, content=bytes(body), request=request
        )

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._transport.aclose()


class Fetcher:
    """Asks one company."""

    def __init__(self, config: ProviderConfig) -> None:
        """Open nothing yet."""
        self.transport = BoundedTransport()
        self.timeout = httpx2.Timeout(config.read_timeout_s, connect=config.connect_timeout_s)
        self._total_s = config.total_timeout_s
        self._client = httpx2.AsyncClient(
            transport=self.transport, timeout=self.timeout, trust_env=False, follow_redirects=False
        )

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Bound all that is asked inside, and say what its failure means.

        Raises:
            OutsideUnavailable: No answer in time, or none of use.
        """
        try:
            async with asyncio.timeout(self._total_s):
                yield
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            raise OutsideUnavailable from error

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the JSON object at an address.

        Raises:
            OutsideUnavailable: No answer in time, or an error of theirs.
            OutsideAnswerRefused: It is no JSON object, or they refuse.
        """
        async with self.asking():
            answer = await self._client.get(url, headers=headers)
        return body_of(answer)

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._client.aclose()


def body_of(answer: httpx2.Response) -> dict[str, Any]:
    """Return the JSON object of an answer.

    Raises:
        OutsideUnavailable: An error of theirs.
        OutsideAnswerRefused: It is no JSON object, or they refuse.
    """
    if answer.status_code >= _TROUBLE or answer.status_code == _TOO_MANY:
        raise OutsideUnavailable
    if answer.status_code != _OK:
        raise OutsideAnswerRefused("status")
    try:
        return _read_object(answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OutsideAnswerRefused("unreadable") from error
