"""The clock: aware, in UTC, to the millisecond."""

from datetime import UTC, datetime, timedelta

import pytest

from guilder.kernel.clock import to_milliseconds, utc_now


def test_now_is_between_before_and_after() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    now = utc_now()

    assert before < now <= datetime.now(UTC)
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0


@pytest.mark.parametrize(("microsecond", "cut"), [(0, 0), (999, 0), (1000, 1000), (999999, 999000)])
def test_a_time_is_cut_not_rounded(microsecond: int, cut: int) -> None:
    time = datetime(2026, 12, 31, 23, 59, 59, microsecond, tzinfo=UTC)

    assert to_milliseconds(time) == time.replace(microsecond=cut)
