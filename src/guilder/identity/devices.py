"""Devices: what a request says about its own, which of them a user has signed in from before, and
words for people to know them by.

Of the user agent only words out of two short tables are kept, of the address only its beginning.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv6Network, ip_address, ip_network
from typing import Final

from msgspec.structs import replace
from starlette.requests import HTTPConnection

from guilder.identity.models import KnownDevice, User
from guilder.kernel.clock import Clock
from guilder.storage.base import Storage, Transaction
from guilder.storage.errors import VersionConflict

TOKEN_HEADER: Final = "Device-Token"  # noqa: S105 - the name of a header
DEVICE_COOKIE: Final = "__Host-guilder-device"
TOKEN_LENGTH: Final = 43
"""Characters of 256 bits in base64url."""
TOKENS_MAX: Final = 4
"""People who share one device."""
KEPT_FOR: Final = timedelta(days=90)
"""As long as `throttles` knows a place."""
_KEPT_ON: Final = timedelta(days=7)
"""A device that is used is kept on this often: not at every sign-in."""
_NEW_USER: Final = timedelta(days=1)
_TOKEN_BYTES: Final = 32
_AGENT_MAX: Final = 512
_IPV4_BITS: Final = 24
_IPV6_BITS: Final = 48

# The first that is found: Edge says that it is Chrome, and Chrome that it is Safari.
_PROGRAMS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("okhttp", "an app"),
    ("CFNetwork", "an app"),
    ("Dart/", "an app"),
    ("curl/", "curl"),
    ("python", "a Python program"),
    ("node", "a Node.js program"),
    ("Go-http-client", "a Go program"),
    ("Java", "a Java program"),
)
_SYSTEMS: Final = (
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "macOS"),
    ("Darwin", "an Apple device"),
    ("Linux", "Linux"),
)
_UNKNOWN_PROGRAM: Final = "An unknown program"


@dataclass(frozen=True, slots=True)
class Device:
    """What a request says about the device it comes from. Anybody can say anything.

    Args:
        user_agent: As sent; empty if nothing is.
        tokens: Of earlier sign-ins there, of one user or several.
    """

    user_agent: str = ""
    tokens: tuple[str, ...] = field(default=(), repr=False)

    @property
    def words(self) -> str:
        """What people may know it by, such as `Firefox on Windows`; never text that was sent."""
        agent = self.user_agent[:_AGENT_MAX]
        program = _found(agent, _PROGRAMS) or _UNKNOWN_PROGRAM
        program = program[0].upper() + program[1:]
        system = _found(agent, _SYSTEMS)
        return f"{program} on {system}" if system else program


NO_DEVICE: Final = Device()
"""For requests that come from nowhere, as in tests."""


def device_of(connection: HTTPConnection) -> Device:
    """Return what a request says about its device: `User-Agent`, and `Device-Token` or a cookie."""
    said = connection.headers.get(TOKEN_HEADER) or connection.cookies.get(DEVICE_COOKIE, "")
    agent = connection.headers.get("user-agent", "")[:_AGENT_MAX]
    return Device(user_agent=agent, tokens=tokens_in(said))


def tokens_in(text: str) -> tuple[str, ...]:
    """Return the tokens of a header or a cookie, the latest first.

    >>> tokens_in("none of ours")
    ()
    """
    if len(text) > TOKENS_MAX * (TOKEN_LENGTH + 1) or not text.isascii():
        return ()
    return tuple(each for each in text.split(".") if len(each) == TOKEN_LENGTH)[:TOKENS_MAX]


def tokens_text(tokens: Iterable[str]) -> str:
    """Return tokens as one text, each once, the first ones if there are too many."""
    return ".".join(list(dict.fromkeys(tokens))[:TOKENS_MAX])


def place_of(address: str | None) -> str:
    """Return words for where an address is: as much of it as many people share.

    >>> place_of("203.0.113.77")
    '203.0.113.0/24'
    """
    if address is None:
        return ""
    try:
        network = ip_network(address, strict=False)
    except ValueError:
        return ""
    first = ip_address(network.network_address)
    # `::1` comes as its /64.
    if first.is_loopback or first.is_unspecified:
        return "this computer"
    bits = _IPV6_BITS if isinstance(network, IPv6Network) else _IPV4_BITS
    return str(network.supernet(new_prefix=min(bits, network.prefixlen)))


class Devices:
    """Which devices a user has signed in from.

    Invariants:
        Nobody but whoever signed in with the user's credentials has a token of a known device, and
        only hashes are stored. A change of credentials makes every device new again, so that
        whoever had them is noticed when coming back.
    """

    def __init__(self, storage: Storage, *, clock: Clock) -> None:
        """Take what looking needs; does nothing yet."""
        self._known = storage.documents(KnownDevice)
        self._clock = clock

    async def recognised(self, user: User | None, device: Device) -> "Recognised | None":
        """Return which device of the user's it is, if it is one; reads as much for nobody."""
        if not device.tokens:
            return None
        ids = {_id(user.id if user else "", token): token for token in device.tokens}
        found = await self._known.get_many(list(ids))
        for known in found.values():
            is_current = user is not None and known.credentials_version >= user.credentials_version
            if is_current and self._clock() < known.expires_at:
                return Recognised(known, ids[known.id])
        return None

    async def is_told_of(self, user: User) -> bool:
        """Tell whether a sign-in from a new device is news: not right after registering."""
        if self._clock() - user.created_at >= _NEW_USER:
            return True
        return bool(await self._known.page({"user_id": user.id}, limit=1))

    async def add(self, transaction: Transaction, user: User) -> str:
        """Store a new device of the user's; return its token, which is nowhere else."""
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._clock()
        known = KnownDevice(
            id=_id(user.id, token),
            user_id=user.user_id,
            credentials_version=user.credentials_version,
            expires_at=now + KEPT_FOR,
            created_at=now,
            updated_at=now,
        )
        await transaction.documents(KnownDevice).insert(known)
        return token

    async def keep(self, recognised: "Recognised") -> None:
        """Put off the end of a device that is in use."""
        known, now = recognised.known, self._clock()
        if now + KEPT_FOR - known.expires_at < _KEPT_ON:
            return
        try:
            changed = replace(known, expires_at=now + KEPT_FOR, updated_at=now)
            await self._known.replace(changed)
        except VersionConflict:
            return  # Somebody signs in there at the same time, and keeps it.


@dataclass(frozen=True, slots=True)
class Recognised:
    """A device from which the user has signed in before."""

    known: KnownDevice
    token: str = field(repr=False)


def _found(agent: str, table: tuple[tuple[str, str], ...]) -> str | None:
    return next((words for sign, words in table if sign in agent), None)


def _id(user_id: str, token: str) -> str:
    return hashlib.sha256(f"{user_id}:{token}".encode()).hexdigest()
