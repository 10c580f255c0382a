"""When the janitors look."""

from datetime import UTC, datetime, timedelta

import pytest

from guilder.gateways.schedule import CheckSchedule

CREATED = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("age", "next_age"),
    [
        (0 * MINUTE, 1 * MINUTE),
        (1 * MINUTE, 5 * MINUTE),
        (4 * MINUTE, 5 * MINUTE),
        (5 * MINUTE, 15 * MINUTE),
        (15 * MINUTE, 60 * MINUTE),
        (59 * MINUTE, 60 * MINUTE),
        (60 * MINUTE, 120 * MINUTE),
        (71 * 60 * MINUTE, 72 * 60 * MINUTE),
        (100 * 60 * MINUTE + MINUTE, 101 * 60 * MINUTE),
        (-5 * MINUTE, 1 * MINUTE),
    ],
)
def test_the_next_look_is_the_first_of_the_schedule_after_now(
    age: timedelta, next_age: timedelta
) -> None:
    found = CheckSchedule().next_after(CREATED + age, created_at=CREATED)
    assert found == CREATED + next_age


def test_an_intent_is_over_after_three_days() -> None:
    schedule = CheckSchedule()
    assert not schedule.is_over(CREATED + timedelta(days=3) - MINUTE, created_at=CREATED)
    assert schedule.is_over(CREATED + timedelta(days=3), created_at=CREATED)
