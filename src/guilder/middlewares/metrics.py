"""Counts and times requests for Prometheus, by route template, never by path."""

import time
from bisect import bisect_left
from collections.abc import Awaitable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guilder.middlewares.route_template import route_template

METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"})
_BUCKETS: Final = (
    "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0",
)  # fmt: skip
"""Upper bounds in seconds, as Prometheus writes them."""
_NS_PER_S: Final = 1_000_000_000
_BUCKETS_NS: Final = (
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000,
    250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000,
)  # fmt: skip
_NO_STATUS: Final = 499


class RequestFigures(Collector):
    """Counts of requests, kept in plain lists: the library's own objects cost six times as much.

    Invariants:
        Used by one event loop only, so nothing is locked.
    """

    def __init__(self) -> None:
        """Begin at nothing."""
        self.in_flight = 0
        self._counts: dict[tuple[str, str, int], int] = {}
        self._times: dict[tuple[str, str], list[int]] = {}
        """Requests by bucket, the last for all slower ones; then nanoseconds in total."""

    def record(self, *, method: str, route: str, status: int, duration_ns: int) -> None:
        """Count one request."""
        method = method if method in METHODS else "other"
        answered = method, route, status
        self._counts[answered] = self._counts.get(answered, 0) + 1
        times = self._times.get((method, route))
        if times is None:
            times = self._times[method, route] = [0] * (len(_BUCKETS_NS) + 2)
        times[bisect_left(_BUCKETS_NS, duration_ns)] += 1
        times[-1] += duration_ns

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of this moment."""
        counts = CounterMetricFamily(
            "guilder_http_requests", "Requests answered.", labels=("method", "route", "status")
        )
        for (method, route, status), count in self._counts.items():
            counts.add_metric((method, route, str(status)), count)
        yield counts
        times = HistogramMetricFamily(
            "guilder_http_request_seconds",
            "Time from the last header of a request to the end of its answer.",
            labels=("method", "route"),
        )
        for labels, kept in self._times.items():
            totals = list(accumulate(kept[:-1]))
            buckets = list(zip((*_BUCKETS, "+Inf"), map(float, totals), strict=True))
            times.add_metric(labels, buckets, kept[-1] / _NS_PER_S)
        yield times
        yield GaugeMetricFamily(
            "guilder_http_requests_in_flight", "Requests being answered.", value=self.in_flight
        )


class Metrics:
    """The figures of one app. `registry` takes more collectors from whoever has figures."""

    def __init__(self) -> None:
        """Make a registry of its own, so that two apps in one process do not mix."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests = RequestFigures()
        self.registry.register(self.requests)


class MetricsMiddleware:
    """Records every request."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        """Wrap `app`."""
        self.app = app
        self.figures = metrics.requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time and count the request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        figures = self.figures
        status = _NO_STATUS
        began = time.perf_counter_ns()
        figures.in_flight += 1

        def send_noted(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        try:
            await self.app(scope, receive, send_noted)
        finally:
            figures.in_flight -= 1
            figures.record(
                method=scope["method"],
                route=route_template(scope),
                status=status,
                duration_ns=time.perf_counter_ns() - began,
            )
