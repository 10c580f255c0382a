"""The rules of schedules."""

from guilder.kernel.errors import GuilderError, Kind


class ScheduleEnded(GuilderError):
    """A schedule is cancelled before its last occurrence."""

    code = "schedule_ended"
    kind = Kind.CONFLICT
    title = "The schedule has ended"
