"""How a figure is printed: one JSON line each, for people and for machines."""

import json
import sys

Value = str | int | float | None


def report(**figures: Value) -> None:
    """Print one line. Fractions are cut to three digits: the machine is noisier than that."""
    rounded = {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in figures.items()
    }
    sys.stdout.write(json.dumps(rounded) + "\n")
    sys.stdout.flush()


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the sorted values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
