"""When the state of a payment or payout is fetched without being told to. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSchedule:
    """Times of fetching, counted from the creation of the intent.

    Args:
        first: Ascending.
        then_every: After the last of `first`.
        until: When an intent that nobody acted on is over.
    """

    first: tuple[timedelta, ...] = (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=15),
    )
    then_every: timedelta = timedelta(hours=1)
    until: timedelta = timedelta(days=3)

    def next_after(self, now: datetime, *, created_at: datetime) -> datetime:
        """Return the first time of the schedule after `now`."""
        for offset in self.first:
            if created_at + offset > now:
                return created_at + offset
        return created_at + ((now - created_at) // self.then_every + 1) * self.then_every

    def is_over(self, now: datetime, *, created_at: datetime) -> bool:
        """Tell whether the time of an intent is over."""
        return now - created_at >= self.until
