"""The figures of the journal and its audit for Prometheus."""

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


class BooksFigures(Protocol):
    """What the audit in the background tells."""

    @property
    def verified_position(self) -> int:
        """Up to where the journal was found right."""

    @property
    def lag(self) -> int:
        """Transfers that wait to be looked at."""

    @property
    def is_right(self) -> bool:
        """Whether no difference was found."""


class BooksCollector(Collector):
    """Tells whether the books are right."""

    def __init__(self, books: BooksFigures) -> None:
        """Read the figures of `books`."""
        self._books = books

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of this moment."""
        books = self._books
        yield GaugeMetricFamily(
            "guilder_books_right",
            "1 if the audit in the background has found no difference.",
            value=books.is_right,
        )
        yield GaugeMetricFamily(
            "guilder_books_verified_position",
            "Position up to which it has found the journal right.",
            value=books.verified_position,
        )
        yield GaugeMetricFamily(
            "guilder_books_lag", "Transfers that it has not looked at yet.", value=books.lag
        )
