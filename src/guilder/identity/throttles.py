"""Slows down whoever guesses: stored counters that hold across processes and restarts.

An attempt is counted before it is looked at, and taken off again when it succeeds. So 64 guesses at
once are 64 counted guesses, of which the free ones are looked at; and a process that dies between
the two has forgiven nobody. A counter is one document that changes under its expected version. It
is no bottleneck: once the free attempts are used up the others only read, and are refused.

Nobody is locked out by strangers. A place from which the account has succeeded before (an address,
or a device that the caller has recognised) has a counter of its own. Live sessions never come here.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from ipaddress import IPv6Address, IPv6Network, ip_address

import structlog
from msgspec.structs import replace

from guilder.identity import throttle_rules as rules
from guilder.identity.errors import TooManyAttempts
from guilder.identity.models import Throttle
from guilder.identity.throttle_rules import Tally, ThrottlePolicy
from guilder.kernel.clock import Clock
from guilder.storage.base import Collection, Storage
from guilder.storage.errors import DuplicateDocument, VersionConflict

SIGN_IN = "sign_in"
"""The action under which tries at an account's password are counted."""
REGISTER = "register"
_TRIES = 40
"""Each lost race is somebody's counted attempt, and few attempts are let through at a time."""
_BRIEF, _LONG = timedelta(days=30), timedelta(days=400)
_KNOWN = timedelta(days=90)
_ADDRESS = timedelta(days=2)

_log = structlog.get_logger(__name__)


class _Kind(StrEnum):
    """What a counter counts for."""

    ACCOUNT = "account"
    ADDRESS = "address"
    PLACE = "place"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an attempt comes from and whom it is about, as ids of counters."""

    account: str | None
    address: str | None
    place: str | None
    device: str | None

    @property
    def ids(self) -> list[str]:
        """Every id there is."""
        every = (self.account, self.address, self.place, self.device)
        return [each for each in every if each is not None]

    @property
    def of_strangers(self) -> list[tuple[str, _Kind]]:
        """The counters of whoever is not known here."""
        every = ((self.account, _Kind.ACCOUNT), (self.address, _Kind.ADDRESS))
        return [(counter_id, kind) for counter_id, kind in every if counter_id is not None]


_Change = Callable[[Throttle | None], Throttle | None]
"""Makes a counter out of what there is; None leaves it as it is."""


class Throttles:
    """Counts attempts by account, by address, and by place that is known to an account.

    Invariants:
        Accounts that do not exist are counted exactly like those that do.
        Neither accounts nor addresses are stored: ids are keyed hashes.
        At most `policy.window_max` attempts of strangers at one account are looked at in
        `policy.window_s`, however many addresses, processes and connections they have.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        clock: Clock,
        key: bytes,
        policy: ThrottlePolicy | None = None,
        counts_addresses: bool = True,
    ) -> None:
        """Take what counting needs; does nothing yet.

        Args:
            storage: Migrated with `models.MODELS`.
            clock: Time for waits.
            key: Keys the hashes; the same in every process.
            policy: How patient.
            counts_addresses: Slow down addresses too, not only attempts at one account.
        """
        self._throttles = storage.documents(Throttle)
        self._clock = clock
        self._key = key
        self._policy = policy or ThrottlePolicy()
        self._counts_addresses = counts_addresses

    async def check(
        self, action: str, *, account: str | None, address: str | None, device: str | None = None
    ) -> None:
        """Count an attempt, or refuse it. Comes before anything costly, and before any comparison.

        Afterwards call `succeeded`, `failed`, or `taken_back` if nothing was compared.

        Args:
            action: What is attempted, such as `SIGN_IN`. Accounts are counted by action.
            account: Blind index or id of who is named, whether it exists or not; None where
                nobody is named.
            address: The client's; None if there is none to count.
            device: Id of a device that has proved to be one of the account's. Never what a client
                merely says.

        Raises:
            TooManyAttempts: Later, or never before another way in was used. Nothing was counted.
        """
        place = self._place(action, account, address, device)
        found = await self._throttles.get_many(place.ids)
        now = self._clock()
        own = _known_place(place, found, now)
        every = [(own, _Kind.PLACE)] if own else place.of_strangers
        # Decide about all before any is counted: who is refused anyway adds to nothing.
        for counter_id, kind in every:
            self._attempted(counter_id, found.get(counter_id), kind, now)
        await self._count(every, found, now)

    async def failed(
        self, action: str, *, account: str | None, address: str | None, device: str | None = None
    ) -> None:
        """Say that an attempt failed. `check` has counted it already: nothing counts twice."""
        del account, address
        _log.info("attempt_failed", action=action, from_known_device=device is not None)

    async def succeeded(
        self, action: str, *, account: str | None, address: str | None, device: str | None = None
    ) -> None:
        """Take the counted attempt off again, and know the place from now on.

        From a new place the account's counter ends. From a known one only the run of consecutive
        failures ends and the waits of strangers stay, or each sign-in of the owner would give them
        free attempts.
        """
        place = self._place(action, account, address, device)
        found = await self._throttles.get_many(place.ids)
        now = self._clock()
        is_known = _known_place(place, found, now) is not None

        def credited(earlier: Throttle | None) -> Throttle | None:
            if earlier is None or is_known:
                return None
            return replace(earlier, tally=rules.credited(earlier.tally, self._policy))

        def ended(earlier: Throttle | None) -> Throttle | None:
            if earlier is None:
                return None
            tally = rules.ended_run(earlier.tally) if is_known else Tally()
            return None if tally == earlier.tally else replace(earlier, tally=tally)

        await self._settle(place.address, credited, found)
        await self._settle(place.account, ended, found)
        for own in (place.place, place.device):
            if own is not None:
                await self._settle(own, partial(_known, own, now), found)

    async def taken_back(
        self, action: str, *, account: str | None, address: str | None, device: str | None = None
    ) -> None:
        """Take off an attempt that was never looked at, as when the server was too busy for it."""
        place = self._place(action, account, address, device)
        found = await self._throttles.get_many(place.ids)
        own = _known_place(place, found, self._clock())
        for counter_id in (own,) if own else (place.account, place.address):
            await self._settle(counter_id, _undone, found)

    async def clear(self, *actions: str, account: str) -> None:
        """Forget the failures of strangers at an account, after recovery or another factor."""
        for action in actions:
            await self._throttles.delete(self._id(_Kind.ACCOUNT, action, account))

    def _attempted(
        self, counter_id: str, earlier: Throttle | None, kind: _Kind, now: datetime
    ) -> Throttle:
        """Return a counter after one more attempt.

        Raises:
            TooManyAttempts: It is too early for one.
        """
        tally = earlier.tally if earlier else Tally()
        if kind is _Kind.ADDRESS:
            tally = rules.address_tally(tally, now=now, policy=self._policy)
            wait_s = rules.address_wait_s(tally, now=now, policy=self._policy)
            kept = _ADDRESS
        else:
            wait_s = rules.wait_s(tally, now=now, policy=self._policy)
            kept = _LONG if tally.failures >= self._policy.free else _BRIEF
        if wait_s > 0:
            raise TooManyAttempts(wait_s)
        # That a place is known ends ninety days after the last success there.
        is_known = earlier is not None and earlier.is_known
        expires_at = earlier.expires_at if earlier and is_known else now + kept
        raised = rules.with_attempt(tally, now=now, policy=self._policy)
        return _changed(counter_id, earlier, tally=raised, now=now, expires_at=expires_at)

    async def _count(
        self,
        every: Sequence[tuple[str, _Kind]],
        found: Mapping[str, Throttle],
        now: datetime,
    ) -> None:
        """Count an attempt in every counter, or in none of them.

        One after the other, each by itself: two in one database transaction would make everybody
        who comes at once wait for everybody else.

        Raises:
            TooManyAttempts: Others were faster.
        """
        counted: list[str] = []
        for counter_id, kind in every:
            attempted = partial(self._attempted, counter_id, kind=kind, now=now)
            try:
                await self._update(counter_id, attempted, found)
            except TooManyAttempts:
                for each in counted:
                    await self._settle(each, _undone, {})
                raise
            counted.append(counter_id)

    async def _settle(
        self, counter_id: str | None, change: _Change, found: Mapping[str, Throttle]
    ) -> None:
        """Change a counter after the fact. Lost races are given up in the end: strict is safe.

        Who has succeeded must not be refused because others fail in the meantime.
        """
        if counter_id is None:
            return
        try:
            await self._update(counter_id, change, found)
        except TooManyAttempts:
            _log.warning("attempt_left_counted")

    async def _update(
        self, counter_id: str, change: _Change, found: Mapping[str, Throttle]
    ) -> None:
        """Change one counter, whoever else changes it; `found` is what was read already.

        Raises:
            TooManyAttempts: By `change`; or every race was lost.
        """
        earlier = found.get(counter_id)
        for _ in range(_TRIES):
            changed = change(earlier)
            if changed is None:
                return
            try:
                await _put(self._throttles, changed, earlier)
            except (VersionConflict, DuplicateDocument):
                earlier = await self._throttles.get(counter_id)
                continue
            return
        raise TooManyAttempts(1)

    def _place(
        self, action: str, account: str | None, address: str | None, device: str | None
    ) -> _Place:
        network = None if address is None else network_of(address)
        # An address is one visitor, whatever is tried. All else is by action: who has guessed a
        # password is not known yet for the second factor.
        by_address = network is not None and self._counts_addresses
        visitor = self._id(_Kind.ADDRESS, network or "") if by_address else None
        if account is None:
            return _Place(account=None, address=visitor, place=None, device=None)
        return _Place(
            account=self._id(_Kind.ACCOUNT, action, account),
            address=visitor,
            place=self._id(_Kind.PLACE, action, account, network) if network else None,
            device=self._id(_Kind.DEVICE, action, account, device) if device else None,
        )

    def _id(self, kind: _Kind, *parts: str) -> str:
        # Length first: no two lists of parts make one text.
        raw = "".join(f"{len(part)}:{part}" for part in (kind.value, *parts))
        return hmac.digest(self._key, raw.encode("utf-8", "replace"), hashlib.sha256).hex()


def network_of(address: str) -> str:
    """Return what one visitor cannot change: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address  # A network already, or a name that a server gave.
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), 64), strict=False))


def _known_place(place: _Place, found: Mapping[str, Throttle], now: datetime) -> str | None:
    """Return the counter of the place's own, if the account is known there."""
    if place.device is not None:
        return place.device
    own = found.get(place.place or "")
    return own.id if own is not None and own.is_known and now < own.expires_at else None


def _undone(earlier: Throttle | None) -> Throttle | None:
    """Return a counter without its latest attempt."""
    if earlier is None:
        return None
    return replace(earlier, tally=rules.without_attempt(earlier.tally))


def _known(counter_id: str, now: datetime, earlier: Throttle | None) -> Throttle:
    """Return the counter of a place from which the account has just succeeded."""
    return _changed(
        counter_id, earlier, tally=Tally(), now=now, expires_at=now + _KNOWN, is_known=True
    )


def _changed(
    counter_id: str,
    earlier: Throttle | None,
    *,
    tally: Tally,
    now: datetime,
    expires_at: datetime,
    is_known: bool = False,
) -> Throttle:
    """Return a counter with another tally, new if there is none."""
    if earlier is not None:
        is_known = is_known or earlier.is_known
        return replace(
            earlier, tally=tally, is_known=is_known, expires_at=expires_at, updated_at=now
        )
    return Throttle(
        id=counter_id,
        tally=tally,
        is_known=is_known,
        expires_at=expires_at,
        created_at=now,
        updated_at=now,
    )


async def _put(
    throttles: Collection[Throttle], counter: Throttle, earlier: Throttle | None
) -> None:
    if earlier is None:
        await throttles.insert(counter)
    else:
        await throttles.replace(counter)
