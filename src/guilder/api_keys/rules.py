"""What a key looks like, what it may be allowed, and when a quota begins anew. No I/O."""

import hashlib
import re
import string
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network

from msgspec import Struct

from guilder.kernel.errors import check
from guilder.ledger.limits import Limit, Window
from guilder.ledger.models import AMOUNT_MAX

Network = IPv4Network | IPv6Network

SECRET_BYTES = 32
KEYS_MAX = 50
"""Of one user at a time. Each is a way in, and nobody keeps an eye on more."""
NAME_MAX = 100
ADDRESSES_MAX = 20
BUDGETS_MAX = 20
REQUESTS_MAX = 1_000_000_000
OVERLAP_MAX_S = 7 * 86_400
DAYS_KEPT = 31
"""Of the usage report."""
IPV6_PREFIX_MAX = 64
"""A customer has a /64 at least, and that is how clients are told apart."""

_PREFIX = "glk"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_LENGTH = 43
"""Base62: 62^43 > 2^256."""
_CHECKSUM_LENGTH = 6
"""Base62: 62^6 > 2^32."""
_SHAPE = re.compile(rf"{_PREFIX}_(test|live)_[0-9A-Za-z]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}}")
_SHOWN = 4
_LEASE_SHARE = 16
_MINUTES_A_DAY = 1440


class Mode(StrEnum):
    """Which deployments a key is for. No key is for both."""

    TEST = "test"
    LIVE = "live"


class RequestsPer(StrEnum):
    """How long a request quota lasts, in calendar time of UTC."""

    MINUTE = "minute"
    DAY = "day"


class MoneyPer(StrEnum):
    """How long a budget lasts, in calendar time of UTC."""

    DAY = "day"
    MONTH = "month"
    EVER = "ever"


class RequestQuota(Struct, frozen=True, kw_only=True):
    """How many requests a key may send."""

    per: RequestsPer
    count: int


class MoneyBudget(Struct, frozen=True, kw_only=True):
    """How much a key may move out of the wallet, in minor units of a currency."""

    currency: str
    per: MoneyPer
    amount_minor: int


class UsageLimits(Struct, frozen=True, kw_only=True):
    """What a key may use. No quota: any number. No budget: what the wallet may.

    Invariants:
        Where there is a budget, no currency without one can be spent.
        There is one budget at most for a currency and a time.
    """

    requests: RequestQuota | None = None
    money: tuple[MoneyBudget, ...] = ()


def write_key(mode: Mode, secret: bytes) -> str:
    """Return the text of a key: product, mode, secret, and a checksum that scanners can check.

    Args:
        secret: 32 random bytes.

    >>> write_key(Mode.TEST, bytes(32))
    'glk_test_00000000000000000000000000000000000000000002I1G4N'
    """
    check(len(secret) == SECRET_BYTES, "a key has 256 bits")
    body = f"{_PREFIX}_{mode}_{_base62(int.from_bytes(secret, 'big'), _SECRET_LENGTH)}"
    return body + _checksum(body)


def is_key(text: str, mode: Mode) -> bool:
    """Tell whether a text has the shape of a key of this mode, without a look at any stored one."""
    if not text.startswith(f"{_PREFIX}_{mode}_") or _SHAPE.fullmatch(text) is None:
        return False
    return _checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:]


def key_digest(text: str) -> str:
    """Return what is stored of a key. Of 256 random bits nothing slower is needed."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def visible(text: str) -> str:
    """Return how a key begins: what its owner tells it by. 233 bits stay hidden."""
    return text[: len(f"{_PREFIX}_test_") + _SHOWN]


def budget_of(key_id: str, limits: UsageLimits) -> tuple[Limit, ...]:
    """Return the budget as the limits that the ledger's writer checks."""
    return tuple(
        Limit(
            name=f"api_key_{each.per}",
            subject=key_id,
            maximum=each.amount_minor,
            window=Window(each.per.value),
            asset=each.currency,
        )
        for each in limits.money
    )


def is_raised(before: UsageLimits, after: UsageLimits) -> bool:
    """Tell whether new limits allow anything that the old ones did not."""
    if before.requests is not None and _is_quota_raised(before.requests, after.requests):
        return True
    if not before.money:
        return False
    # Whatever was limited must stay limited, and no currency may be new.
    now = {(each.currency, each.per): each.amount_minor for each in after.money}
    kept = {each.currency for each in after.money}
    if not kept or not kept <= {each.currency for each in before.money}:
        return True
    return any(
        now.get((was.currency, was.per), AMOUNT_MAX + 1) > was.amount_minor
        for was in before.money
        if was.currency in kept
    )


def is_widened(before: Sequence[str], after: Sequence[str]) -> bool:
    """Tell whether a new list of addresses lets anybody in whom the old one did not."""
    if not before:
        return False
    if not after:
        return True
    old = [ip_network(each) for each in before]
    return not all(_is_within(ip_network(each), old) for each in after)


def network_of(text: str) -> Network:
    """Return an address, or a block of them in CIDR notation.

    Raises:
        ValueError: It is neither, narrower than clients are told apart, or has bits behind its /.
    """
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen > IPV6_PREFIX_MAX:
        if network.network_address.ipv4_mapped:
            message = "Write an IPv4 address as such."
            raise ValueError(message)
        if network.prefixlen < network.max_prefixlen:
            message = f"Give an IPv6 block of /{IPV6_PREFIX_MAX} or larger."
            raise ValueError(message)
        # One address stands for its block.
        return network.supernet(new_prefix=IPV6_PREFIX_MAX)
    return network


def is_allowed(address: str | None, networks: Sequence[Network]) -> bool:
    """Tell whether a client may use a key.

    Args:
        address: As `middlewares.client_address` gives it: IPv6 by its /64.
        networks: None of them: from anywhere.
    """
    if not networks:
        return True
    if address is None:
        return False
    try:
        client = ip_network(address)
    except ValueError:
        return False
    return _is_within(client, networks)


def window_of(per: RequestsPer, now: datetime) -> str:
    """Return the name of the window that a moment falls into.

    >>> window_of(RequestsPer.MINUTE, datetime(2026, 1, 31, 12, 5, 9, tzinfo=UTC))
    '2026-01-31T12:05'
    """
    form = "%Y-%m-%dT%H:%M" if per is RequestsPer.MINUTE else "%Y-%m-%d"
    return now.astimezone(UTC).strftime(form)


def window_ends(per: RequestsPer, now: datetime) -> datetime:
    """Return when the window that a moment falls into ends."""
    minute = now.astimezone(UTC).replace(second=0, microsecond=0)
    if per is RequestsPer.MINUTE:
        return minute + timedelta(minutes=1)
    return minute.replace(hour=0, minute=0) + timedelta(days=1)


def lease_size(left: int) -> int:
    """Return how many requests of what is left of a quota one process takes at a time.

    Invariants:
        0 of 0. A process keeps at most a sixteenth of the quota from the others, and below 32 no
        more than the request that it is serving.
    """
    return min(left, max(1, left // _LEASE_SHARE))


def _is_quota_raised(before: RequestQuota, after: RequestQuota | None) -> bool:
    if after is None:
        return True
    # A whole day's requests may come in one minute, and each minute of a day may be used up.
    is_longer = before.per is RequestsPer.DAY and after.per is RequestsPer.MINUTE
    return after.count * (_MINUTES_A_DAY if is_longer else 1) > before.count


def _is_within(network: Network, others: Iterable[Network]) -> bool:
    if isinstance(network, IPv4Network):
        return any(network.subnet_of(each) for each in others if isinstance(each, IPv4Network))
    return any(network.subnet_of(each) for each in others if isinstance(each, IPv6Network))


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    check(number == 0, "the number fits")
    return "".join(reversed(digits))


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)
