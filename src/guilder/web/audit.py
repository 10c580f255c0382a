"""The figures of the audit record for Prometheus."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class AuditFigures(Protocol):
    """What the sealer of the audit record tells about itself."""

    position: int
    waiting: int

    @property
    def oldest_waiting_s(self) -> int:
        """For how many seconds the oldest event has waited."""

    @property
    def is_stuck(self) -> bool:
        """Whether events wait for too long."""


class AuditCollector(Collector):
    """Tells whether events get their place in the chain."""

    def __init__(self, audit: AuditFigures) -> None:
        """Read the figures of `audit`."""
        self._audit = audit

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of this moment."""
        audit = self._audit
        yield GaugeMetricFamily(
            "guilder_audit_position",
            "Position up to which the audit record is sealed.",
            value=audit.position,
        )
        yield GaugeMetricFamily(
            "guilder_audit_waiting",
            "Events that wait for their seal; at most 200 are counted.",
            value=audit.waiting,
        )
        yield GaugeMetricFamily(
            "guilder_audit_oldest_waiting_seconds",
            "For how long the oldest of them has waited.",
            value=audit.oldest_waiting_s,
        )
        yield GaugeMetricFamily(
            "guilder_audit_stuck", "1 if events wait for over a minute.", value=audit.is_stuck
        )
