"""How long somebody who keeps failing waits. Pure: told the time, keeps nothing.

An account's counter counts the attempts of strangers; every place that has succeeded before has a
counter of its own, so that strangers delay strangers only. An address's counter counts attempts at
any account and forgets slowly.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import Struct

from guilder.kernel.errors import check

FINAL_WAIT_S = 86_400
"""What a client is told once only another way in helps: waiting alone does not."""
_EXPONENT_MAX = 20
"""Far beyond every longest wait; keeps the power small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottlePolicy:
    """How patient we are.

    Args:
        free: Attempts in a row that wait for nothing. PSD2 RTS, Art. 4: at most five.
        first_wait_s: Wait after those; it doubles with every further failure.
        longest_wait_s: It doubles up to this.
        window_s: In any span of so many seconds
        window_max: at most so many attempts are looked at.
        consecutive_max: Failures in a row after which only another factor or recovery helps. A
            third of NIST SP 800-63B's 100, because a password is tried by address and by number,
            and these are counted apart: counted together, each would tell something about the
            other.
        address_free: Attempts from one address that wait for nothing.
        address_forgets_s: An address forgets one failure in so many seconds.
        address_credit: Failures that an address is forgiven for each account that signs in there
            for the first time: an office is told from a thief by those who succeed.

    Raises:
        InvariantViolation: A value that would stop nobody, or everybody.
    """

    free: int = 5
    first_wait_s: int = 1
    longest_wait_s: int = 900
    window_s: int = 900
    window_max: int = 10
    consecutive_max: int = 33
    address_free: int = 10
    address_forgets_s: int = 900
    address_credit: int = 1

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        check(0 < self.free <= self.window_max, "the free attempts fit in the window")
        check(0 < self.first_wait_s <= self.longest_wait_s, "waits grow")
        check(self.window_s > 0 and self.address_forgets_s > 0, "times are positive")
        check(self.free <= self.consecutive_max, "the free attempts come before the last one")
        check(self.address_free > 0 and self.address_credit >= 0, "an address may try")


class Tally(Struct, frozen=True, kw_only=True):
    """Attempts that have not succeeded, those under way among them.

    Invariants:
        `recent` is in the order of time, and no longer than the policy's `window_max`.
    """

    failures: int = 0
    """What the wait grows with."""
    consecutive: int = 0
    """Since the last success from anywhere."""
    recent: tuple[datetime, ...] = ()
    """When the latest were made."""


def with_attempt(tally: Tally, *, now: datetime, policy: ThrottlePolicy) -> Tally:
    """Return the tally after one more attempt."""
    return Tally(
        failures=tally.failures + 1,
        consecutive=tally.consecutive + 1,
        recent=(*tally.recent, now)[-policy.window_max :],
    )


def without_attempt(tally: Tally) -> Tally:
    """Return the tally as if the latest attempt had not been made."""
    return Tally(
        failures=max(0, tally.failures - 1),
        consecutive=max(0, tally.consecutive - 1),
        recent=tally.recent[:-1],
    )


def ended_run(tally: Tally) -> Tally:
    """Return the tally after the account's owner succeeded elsewhere: the waits stay."""
    return Tally(failures=tally.failures, consecutive=0, recent=tally.recent)


def wait_s(tally: Tally, *, now: datetime, policy: ThrottlePolicy) -> int:
    """Return the whole seconds until an account may be tried again; 0 for now."""
    if tally.consecutive >= policy.consecutive_max:
        return FINAL_WAIT_S
    due = now
    if tally.recent:
        wait = _backoff(tally.failures - policy.free, policy)
        due = _past(tally.recent[-1], now) + wait
    if len(tally.recent) >= policy.window_max:
        oldest = _past(tally.recent[-policy.window_max], now)
        due = max(due, oldest + timedelta(seconds=policy.window_s))
    return _seconds(due - now)


def address_tally(tally: Tally, *, now: datetime, policy: ThrottlePolicy) -> Tally:
    """Return an address's tally less what it has forgotten by now."""
    if not tally.recent:
        return tally
    since = now - _past(tally.recent[-1], now)
    forgotten = since // timedelta(seconds=policy.address_forgets_s)
    left = max(0, tally.failures - forgotten)
    return Tally(failures=left, consecutive=tally.consecutive, recent=tally.recent)


def address_wait_s(tally: Tally, *, now: datetime, policy: ThrottlePolicy) -> int:
    """Return the whole seconds until an address may try any account again; 0 for now.

    Args:
        tally: As `address_tally` returns it.
    """
    if not tally.recent:
        return 0
    wait = _backoff(tally.failures - policy.address_free, policy)
    return _seconds(_past(tally.recent[-1], now) + wait - now)


def credited(tally: Tally, policy: ThrottlePolicy) -> Tally:
    """Return an address's tally after somebody succeeded there for the first time.

    Invariants:
        Never below zero: no address saves up for later.
    """
    left = max(0, tally.failures - 1 - policy.address_credit)
    return Tally(failures=left, consecutive=0, recent=tally.recent)


def _backoff(failures_beyond: int, policy: ThrottlePolicy) -> timedelta:
    """Return the wait after so many failures more than the free ones; none below zero."""
    if failures_beyond < 0:
        return timedelta()
    doubled = policy.first_wait_s * 2 ** min(failures_beyond, _EXPONENT_MAX)
    return timedelta(seconds=min(doubled, policy.longest_wait_s))


def _past(time: datetime, now: datetime) -> datetime:
    # A clock that was set back must not make anybody wait for it.
    return min(time, now)


def _seconds(wait: timedelta) -> int:
    """Round up: who comes back after that many seconds is not refused again."""
    return max(0, -(-wait // timedelta(seconds=1)))
