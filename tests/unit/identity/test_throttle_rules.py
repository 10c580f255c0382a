"""How long somebody who keeps failing waits: the arithmetic, without a database."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guilder.identity import throttle_rules as rules
from guilder.identity.throttle_rules import Tally, ThrottlePolicy
from guilder.kernel.errors import InvariantViolation

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
POLICY = ThrottlePolicy()
WIDE = ThrottlePolicy(window_max=1000, consecutive_max=1000)
"""Without the window, so that the doubling shows."""


def failed(times: int, policy: ThrottlePolicy = POLICY, *, at: datetime = NOW) -> Tally:
    tally = Tally()
    for _ in range(times):
        tally = rules.with_attempt(tally, now=at, policy=policy)
    return tally


@pytest.mark.parametrize(
    ("failures", "wait_s"),
    [(0, 0), (4, 0), (5, 1), (6, 2), (7, 4), (14, 512), (15, 900), (16, 900), (999, 900)],
)
def test_the_wait_doubles_up_to_a_quarter_of_an_hour(failures: int, wait_s: int) -> None:
    assert rules.wait_s(failed(failures, WIDE), now=NOW, policy=WIDE) == wait_s


def test_asvs_6_3_1_ten_attempts_in_any_quarter_of_an_hour() -> None:
    tally, now, looked_at = Tally(), NOW, []
    while now < NOW + timedelta(hours=2) and tally.consecutive < POLICY.consecutive_max:
        wait = rules.wait_s(tally, now=now, policy=POLICY)
        now += timedelta(seconds=wait)
        tally = rules.with_attempt(tally, now=now, policy=POLICY)
        looked_at.append(now)
    for start in looked_at:
        end = start + timedelta(minutes=15)
        assert sum(start <= each < end for each in looked_at) <= 10


def test_nist_a_third_of_a_hundred_failures_in_a_row_are_the_end_of_waiting() -> None:
    tally = failed(32)
    later = NOW + timedelta(days=300)
    assert rules.wait_s(tally, now=later, policy=POLICY) == 0
    tally = rules.with_attempt(tally, now=later, policy=POLICY)
    assert rules.wait_s(tally, now=later, policy=POLICY) == rules.FINAL_WAIT_S
    much_later = later + timedelta(days=399)
    assert rules.wait_s(tally, now=much_later, policy=POLICY) == rules.FINAL_WAIT_S
    assert rules.wait_s(rules.ended_run(tally), now=much_later, policy=POLICY) == 0


def test_the_owner_elsewhere_ends_the_run_and_not_the_wait() -> None:
    tally = rules.ended_run(failed(12))
    assert tally.consecutive == 0
    assert rules.wait_s(tally, now=NOW, policy=POLICY) == 900


def test_waiting_as_long_as_told_is_enough() -> None:
    tally = failed(8, WIDE)
    wait = rules.wait_s(tally, now=NOW, policy=WIDE)
    assert rules.wait_s(tally, now=NOW + timedelta(seconds=wait - 1), policy=WIDE) == 1
    assert rules.wait_s(tally, now=NOW + timedelta(seconds=wait), policy=WIDE) == 0


def test_an_attempt_taken_back_never_was() -> None:
    for times in range(12):
        tally = failed(times, WIDE)
        again = rules.without_attempt(rules.with_attempt(tally, now=NOW, policy=WIDE))
        assert again == tally
    assert rules.without_attempt(Tally()) == Tally()


def test_a_clock_set_back_makes_nobody_wait_longer() -> None:
    tally = failed(11, at=NOW + timedelta(days=1))
    assert rules.wait_s(tally, now=NOW, policy=POLICY) == 900
    assert rules.address_wait_s(tally, now=NOW, policy=POLICY) <= 2


@pytest.mark.parametrize(("failures", "wait_s"), [(0, 0), (9, 0), (10, 1), (12, 4), (40, 900)])
def test_an_address_waits_later(failures: int, wait_s: int) -> None:
    assert rules.address_wait_s(failed(failures), now=NOW, policy=POLICY) == wait_s


def test_an_address_forgets_slowly() -> None:
    tally = failed(12)
    later = NOW + timedelta(seconds=899)
    assert rules.address_tally(tally, now=later, policy=POLICY).failures == 12
    later = NOW + timedelta(seconds=2700)
    assert rules.address_tally(tally, now=later, policy=POLICY).failures == 9
    later = NOW + timedelta(days=1)
    assert rules.address_tally(tally, now=later, policy=POLICY).failures == 0
    assert rules.address_tally(Tally(), now=NOW, policy=POLICY) == Tally()


def test_who_succeeds_vouches_for_an_address_and_no_more() -> None:
    assert rules.credited(failed(5), POLICY).failures == 3
    assert rules.credited(failed(1), POLICY).failures == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"free": 0},
        {"free": 11},
        {"first_wait_s": 0},
        {"longest_wait_s": 0},
        {"window_s": 0},
        {"address_forgets_s": 0},
        {"consecutive_max": 4},
        {"address_free": 0},
        {"address_credit": -1},
    ],
    ids=str,
)
def test_a_policy_that_stops_nobody_or_everybody_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(InvariantViolation):
        ThrottlePolicy(**changes)


@given(st.lists(st.integers(0, 4000), max_size=60))
def test_waits_never_shrink_while_nothing_happens_but_failures(steps: list[int]) -> None:
    tally, now = Tally(), NOW
    for step in steps:
        now += timedelta(seconds=step)
        before = rules.wait_s(tally, now=now, policy=POLICY)
        assert 0 <= before <= rules.FINAL_WAIT_S
        tally = rules.with_attempt(tally, now=now, policy=POLICY)
        assert rules.wait_s(tally, now=now, policy=POLICY) >= before
        assert len(tally.recent) <= POLICY.window_max
