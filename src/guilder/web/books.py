"""The journal's figures for Prometheus."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class JournalFigures(Protocol):
    """What a journal tells about itself."""

    batches: int
    transfers: int

    @property
    def waiting(self) -> int:
        """Transfers that wait for the next batch."""

    @property
    def is_running(self) -> bool:
        """Whether the writer takes requests."""


class JournalCollector(Collector):
    """Reads the figures when asked; nothing is counted twice."""

    def __init__(self, journal: JournalFigures) -> None:
        """Read the figures of `journal`."""
        self._journal = journal

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of this moment."""
        journal = self._journal
        yield CounterMetricFamily(
            "guilder_journal_batches", "Batches committed by this process.", value=journal.batches
        )
        yield CounterMetricFamily(
            "guilder_journal_transfers",
            "Transfers committed by this process.",
            value=journal.transfers,
        )
        yield GaugeMetricFamily(
            "guilder_journal_waiting",
            "Transfers waiting for the next batch.",
            value=journal.waiting,
        )
        yield GaugeMetricFamily(
            "guilder_journal_running", "1 if the writer takes requests.", value=journal.is_running
        )
