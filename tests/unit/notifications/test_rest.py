"""A server in trouble is left alone for a while."""

from guilder.notifications.rest import Rest
from tests.support.identity import HandClock


def test_asvs_16_5_2_five_faults_in_a_row_bring_a_rest() -> None:
    clock = HandClock()
    rest = Rest(clock)
    seen = []
    for _ in range(5):
        rest.note(is_their_fault=True)
        seen.append(rest.is_on)
    for seconds in (29, 1):
        clock.move(seconds=seconds)
        seen.append(rest.is_on)
    rest.note(is_their_fault=True)
    seen.append(rest.is_on)
    assert seen == [False, False, False, False, True, True, False, True]


def test_one_success_ends_the_count() -> None:
    rest = Rest(HandClock())
    for is_fault in (True, True, True, True, False, True):
        rest.note(is_their_fault=is_fault)
    assert not rest.is_on


def test_a_clock_put_back_makes_it_no_longer() -> None:
    clock = HandClock()
    rest = Rest(clock)
    for _ in range(5):
        rest.note(is_their_fault=True)
    clock.move(hours=-1)
    assert not rest.is_on
