"""How much may leave a wallet: the limits of the deployment, and the refusal that names one.

Transfers, holds and withdrawals of one wallet count together. A hold counts when it is made, not
when it is captured; what is released or comes back is not counted down.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from guilder.kernel.clock import rfc3339
from guilder.kernel.errors import FieldError, GuilderError
from guilder.kernel.ids import WalletId
from guilder.ledger.errors import LimitExceeded, refusal
from guilder.ledger.limits import Limit, Measure, Window
from guilder.ledger.models import Outcome, Verdict

PER_TRANSFER = "per_transfer"
DAILY = "daily"


class SpendingLimits(Struct, frozen=True, kw_only=True):
    """The most that may leave one wallet, by currency, in minor units. What is left out is free.

    Args:
        per_transfer: At a time.
        daily: In a calendar day of UTC.
    """

    per_transfer: Mapping[str, int] = {}
    daily: Mapping[str, int] = {}

    def of(self, wallet_id: WalletId, asset: str) -> tuple[Limit, ...]:
        """Return what a transfer out of a wallet must stay within."""
        found: list[Limit] = []
        for name, window, maxima in (
            (PER_TRANSFER, Window.TRANSFER, self.per_transfer),
            (DAILY, Window.DAY, self.daily),
        ):
            maximum = maxima.get(asset)
            if maximum is not None:
                found.append(Limit(name=name, subject=wallet_id, maximum=maximum, window=window))
        return tuple(found)


NO_LIMITS = SpendingLimits()


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
