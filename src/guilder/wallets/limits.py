"""How much may leave a wallet: the limits of the deployment, and the refusal that names one.

Transfers, holds and withdrawals of one wallet count together. A hold counts when it is made, not
when it is captured; what is released or comes back is not counted down.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct

from guilder.kernel.clock import rfc3339
from guilder.kernel.errors import FieldError, GuilderError
from guilder.kernel.ids import WalletId
from guilder.ledger.errors import LimitExceeded, refusal
from guilder.ledger.limits import Limit, Measure, Window
from guilder.ledger.models import Outcome, Verdict
from guilder.wallets.tiers import TierLimits

PER_TRANSFER = "per_transfer"
DAILY = "daily"
TIER_TRANSFER = "tier_transfer"
TIER_DAILY = "tier_daily"
TIER_MONTHLY = "tier_monthly"
"""The same for all tiers, so that what was counted stays counted when the tier changes."""
OTHER_CURRENCY = "other_currency"
"""Of whom budgets are set in some currencies: what may be spent in the others, nothing."""


class SpendingLimits(Struct, frozen=True, kw_only=True):
    """The most that may leave one wallet, by currency, in minor units. What is left out is free.

    Args:
        per_transfer: At a time.
        daily: In a calendar day of UTC.
        tier: What holds beside that for one wallet.
    """

    per_transfer: Mapping[str, int] = {}
    daily: Mapping[str, int] = {}
    tier: TierLimits | None = None

    async def current(self, wallet_id: WalletId) -> "SpendingLimits":  # noqa: ARG002 - as below
        """Return themselves: they hold for every wallet."""
        return self

    def of(self, wallet_id: WalletId, asset: str, also: Sequence[Limit] = ()) -> tuple[Limit, ...]:
        """Return what a transfer out of a wallet must stay within.

        Args:
            also: The budget of whoever asks: `Principal.limits`.
        """
        found = list(budget_in(also, asset))
        rules = [
            (PER_TRANSFER, Window.TRANSFER, self.per_transfer),
            (DAILY, Window.DAY, self.daily),
        ]
        if self.tier is not None:
            rules += [
                (TIER_TRANSFER, Window.TRANSFER, self.tier.transfer),
                (TIER_DAILY, Window.DAY, self.tier.daily),
                (TIER_MONTHLY, Window.MONTH, self.tier.monthly),
            ]
        for name, window, maxima in rules:
            maximum = maxima.get(asset)
            if maximum is not None:
                found.append(Limit(name=name, subject=wallet_id, maximum=maximum, window=window))
        return tuple(found)


NO_LIMITS = SpendingLimits()


class LimitSource(Protocol):
    """Knows what may leave a wallet: `SpendingLimits`, or `TieredLimits`."""

    async def current(self, wallet_id: WalletId) -> SpendingLimits:
        """Return what holds for a wallet now."""


def budget_in(budget: Sequence[Limit], asset: str) -> tuple[Limit, ...]:
    """Return what of a budget concerns an asset.

    Invariants:
        A budget that names assets leaves nothing to spend in any other.
    """
    found = tuple(limit for limit in budget if limit.asset in (None, asset))
    named = [limit for limit in budget if limit.asset is not None]
    if not named or any(limit.asset == asset for limit in named):
        return found
    subject = named[0].subject
    nothing = Limit(name=OTHER_CURRENCY, subject=subject, maximum=0, window=Window.TRANSFER)
    return (nothing, *found)


def refused(outcome: Outcome, *, now: datetime) -> GuilderError:
    """Return the error that stands for a refusal; of a limit, which one and when it begins anew.

    Raises:
        InvariantViolation: The outcome is no refusal.
    """
    limit = outcome.limit
    if outcome.verdict is not Verdict.LIMIT_EXCEEDED or limit is None:
        return refusal(outcome.verdict)
    unit = "minor units" if limit.measure is Measure.AMOUNT else "transfers"
    detail = f"The limit `{limit.name}` allows {limit.maximum} {unit}."
    at = resets_at(limit.window, now)
    wait_s = None
    if at is not None:
        detail += f" It begins anew at {rfc3339(at)}."
        wait_s = (at - now) // timedelta(seconds=1) + 1
    fields = (FieldError("/amount", f"limit_{limit.name}", detail),)
    return LimitExceeded(detail, fields=fields, retry_after_s=wait_s)


def resets_at(window: Window, now: datetime) -> datetime | None:
    """Return when a window that `now` falls into ends; None if waiting does not help."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    if window is Window.HOUR:
        return hour + timedelta(hours=1)
    if window is Window.DAY:
        return day + timedelta(days=1)
    if window is Window.MONTH:
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return None
