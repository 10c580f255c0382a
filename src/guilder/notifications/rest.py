"""Leaves a server alone for a while that is away or in trouble."""

from datetime import datetime, timedelta
from typing import Final

from guilder.kernel.clock import Clock

FAULTS_MOST: Final = 5
REST: Final = timedelta(seconds=30)


class Rest:
    """A circuit breaker: after five faults in a row nothing is sent for thirty seconds.

    Of this process only: each finds out by itself, so that none is held up by another's network.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._faults = 0
        self._until: datetime | None = None

    @property
    def is_on(self) -> bool:
        """Whether nothing is to be sent now."""
        if self._until is None:
            return False
        now = self._clock()
        # A clock that was put back must not make the rest longer than it is.
        return self._until - REST <= now < self._until

    def note(self, *, is_their_fault: bool) -> None:
        """Count the end of an attempt. One fault after a rest is enough for the next."""
        if not is_their_fault:
            self._faults, self._until = 0, None
            return
        self._faults += 1
        if self._faults >= FAULTS_MOST:
            self._until = self._clock() + REST
