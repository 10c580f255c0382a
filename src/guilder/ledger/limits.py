"""Limits that the writer checks in the same transaction as the money: velocity, budgets, quotas.

A limit is a counter in the books and the most it may reach. Pure: time comes in as data.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from guilder.kernel.ids import derived_uuid
from guilder.storage.records import Counted


class Window(StrEnum):
    """How long a counter counts before a new one begins, in calendar time of UTC."""

    TRANSFER = "transfer"
    """One transfer: nothing is counted."""
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    EVER = "ever"
    """It never begins anew."""


class Measure(StrEnum):
    """What is counted."""

    AMOUNT = "amount"
    """Minor units of the transfer's asset."""
    COUNT = "count"
    """Transfers."""


_FORMATS = {Window.HOUR: "%Y-%m-%dT%H", Window.DAY: "%Y-%m-%d", Window.MONTH: "%Y-%m"}


class Limit(Struct, frozen=True, kw_only=True):
    """The most that may be moved, or how often, within a window.

    Args:
        name: Of the rule, such as `daily`: told to whoever meets it.
        subject: Whose it is: the id of a wallet, a user or an API key.
        maximum: Minor units or transfers that are still allowed.
        asset: The one that it is about; None: each by itself. Whoever asks for a transfer gives the
            limits that concern it: `decide` looks at all it is given.
    """

    name: str
    subject: str
    maximum: int
    window: Window
    measure: Measure = Measure.AMOUNT
    asset: str | None = None

    def counted(self, amount_minor: int, *, asset: str, now: datetime) -> Counted:
        """Return what a transfer adds to which counter.

        Args:
            now: Database time of the batch; it chooses the window.
        """
        added = amount_minor if self.measure is Measure.AMOUNT else 1
        return Counted(self.counter_id(asset, now), added)

    def counter_id(self, asset: str, now: datetime) -> UUID:
        """Return the counter of this limit in the window that `now` falls into."""
        start = now.strftime(_FORMATS.get(self.window, ""))
        return derived_uuid("counter", self.name, self.subject, self.measure, asset, start)


def reversal_counter_id(original_id: UUID) -> UUID:
    """Return the counter of how much of a transfer has been reversed."""
    return derived_uuid("reversal", original_id.bytes)
