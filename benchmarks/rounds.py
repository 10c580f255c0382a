"""Figures that were taken several times, so that one bad moment of the machine decides nothing."""

import statistics
from dataclasses import dataclass, field


@dataclass
class Rounds:
    """One figure, round by round."""

    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """Take the figure of one more round."""
        self.values.append(value)

    @property
    def median(self) -> float:
        """The figure that stands for all."""
        return statistics.median(self.values)

    def figures(self, name: str) -> dict[str, float]:
        """Return the median under `name`, and beside it the least and the greatest."""
        return {
            name: self.median,
            f"{name}_min": min(self.values),
            f"{name}_max": max(self.values),
        }
