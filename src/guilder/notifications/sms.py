"""The way out of SMS: Twilio's Messages endpoint, one request for each message.

Source:
    Twilio API 2010-04-01, `CreateMessage`; the contract tests hold every request against the
    company's own OpenAPI file.
"""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec
from msgspec import Meta, Struct

from guilder.kernel.errors import check
from guilder.notifications.rules import Limit, number_limits, refused_number
from guilder.notifications.sending import Fate, Letter, Outcome
from guilder.notifications.smtp import is_this_machine

T = TypeVar("T")

_ANSWER_MAX: Final = 65_536
"""Bytes of an answer that are read: a real one has about a thousand."""
_SENT: Final = frozenset({"accepted", "scheduled", "queued", "sending", "sent", "delivered"})
_NOT_SENT: Final = frozenset({"failed", "undelivered", "canceled"})
_SERVICE: Final = re.compile(r"MG[0-9a-fA-F]{32}", re.ASCII)
_TOO_MANY: Final = 429
_REFUSED: Final = frozenset({400, 413, 414, 415, 422})
"""About this message. All else below 500 is about our account or address: an operator mends it."""
_TROUBLE: Final = 500
_VALIDITY_MAX_S: Final = 36_000
"""The longest that Twilio tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsConfig:
    """Where short messages go.

    Args:
        api_url: Without a slash at its end.
        sent_from: A number in E.164, a sender's name, or the id of a messaging service.
        countries: ISO 3166 codes of the countries that are written to; none given: all.
        country_most: Messages to one country in ten minutes.

    Raises:
        InvariantViolation: It would go unencrypted to another machine.
    """

    account: str
    token: str = field(repr=False)
    sent_from: str
    api_url: str = "https://api.twilio.com"
    countries: frozenset[str] = frozenset()
    country_most: int = 200
    connect_timeout_s: float = 5
    read_timeout_s: float = 10
    total_timeout_s: float = 20

    def __post_init__(self) -> None:
        """Refuse to send our token in clear to anybody else."""
        url = urlsplit(self.api_url)
        is_safe = url.scheme == "https" or is_this_machine(url.hostname or "")
        check(is_safe, "SMS in clear go to this machine only")


class _Message(Struct, frozen=True):
    """What a taken message is answered with, as far as it is believed."""

    sid: Annotated[str, Meta(pattern=r"^(SM|MM)[0-9a-fA-F]{32}$")]
    status: str


class _Refusal(Struct, frozen=True):
    """What a refused one is answered with."""

    code: Annotated[int, Meta(ge=10_000, le=99_999)]


class SmsSender:
    """Sends short messages."""

    def __init__(self, config: SmsConfig) -> None:
        self._config = config
        account = config.account
        self._url = f"{config.api_url}/2010-04-01/Accounts/{account}/Messages.json"
        self._client = httpx2.AsyncClient(
            auth=httpx2.BasicAuth(account, config.token),
            timeout=httpx2.Timeout(config.read_timeout_s, connect=config.connect_timeout_s),
            trust_env=False,
        )

    def refusal(self, to: str) -> str | None:
        """Return why nothing is ever sent to this receiver, or None."""
        return refused_number(to, self._config.countries)

    def limits(self, to: str) -> tuple[Limit, ...]:
        """Return the brakes of a receiver that is not refused."""
        return number_limits(to, country_most=self._config.country_most)

    async def send(self, letter: Letter) -> Outcome:
        """Hand a message over; say what became of it. Takes at most `total_timeout_s`."""
        reason = self.refusal(letter.to)
        if reason is not None:
            return Outcome(Fate.REFUSED, reason)
        request = self._client.build_request("POST", self._url, data=self._form(letter))
        try:
            async with asyncio.timeout(self._config.total_timeout_s):
                return await self._ask(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
            # Nothing was asked yet.
            return Outcome(Fate.POSTPONED, "unreachable", is_their_fault=True)
        except (httpx2.HTTPError, TimeoutError):
            return Outcome(Fate.UNCLEAR, "no_answer", is_their_fault=True)

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    def _form(self, letter: Letter) -> dict[str, str]:
        sender = self._config.sent_from
        key = "MessagingServiceSid" if _SERVICE.fullmatch(sender) else "From"
        # A code that comes after its end only confuses: theirs to drop from then on.
        validity_s = min(max(letter.seconds_left, 1), _VALIDITY_MAX_S)
        return {
            "To": letter.to,
            key: sender,
            "Body": letter.short,
            "ValidityPeriod": str(validity_s),
        }

    async def _ask(self, request: httpx2.Request) -> Outcome:
        answer = await self._client.send(request, stream=True)
        try:
            return _outcome(answer.status_code, await _body(answer))
        finally:
            await answer.aclose()


async def _body(answer: httpx2.Response) -> bytes:
    """Read an answer up to the length of an honest one."""
    body = bytearray()
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > _ANSWER_MAX:
            return b""
    return bytes(body)


def _outcome(status: int, body: bytes) -> Outcome:
    """Return what an answer means. It is read as little as can be, and none of it is passed on."""
    if status >= _TROUBLE:
        # Whether the message had gone out before the trouble, they do not say.
        return Outcome(Fate.UNCLEAR, f"http_{status}", is_their_fault=True)
    if status == _TOO_MANY:
        return Outcome(Fate.POSTPONED, "http_429", is_their_fault=True)
    if status in _REFUSED:
        refusal = _decoded(body, _Refusal)
        return Outcome(Fate.REFUSED, f"sms_{refusal.code}" if refusal else f"http_{status}")
    if status not in {200, 201}:
        return Outcome(Fate.POSTPONED, f"http_{status}", is_their_fault=True)
    message = _decoded(body, _Message)
    if message is None or message.status not in _SENT | _NOT_SENT:
        return Outcome(Fate.UNCLEAR, "answer_unreadable", is_their_fault=True)
    if message.status in _NOT_SENT:
        return Outcome(Fate.REFUSED, f"sms_{message.status}", message.sid)
    return Outcome(Fate.SENT, reference=message.sid)


def _decoded(body: bytes, model: type[T]) -> T | None:
    try:
        return msgspec.json.decode(body, type=model)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
