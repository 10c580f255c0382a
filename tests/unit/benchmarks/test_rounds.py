"""A figure of several rounds."""

from benchmarks.report import percentile
from benchmarks.rounds import Rounds


def test_the_median_stands_for_the_rounds_and_its_neighbours_beside_it() -> None:
    rounds = Rounds()
    for value in (5.0, 1.0, 2.0):
        rounds.add(value)

    assert rounds.figures("tps") == {"tps": 2.0, "tps_min": 1.0, "tps_max": 5.0}


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.50) == 3.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.99) == 4.0
