"""Counts and times requests for Prometheus, by route template, never by path."""

import time
from collections.abc import Awaitable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guilder.middlewares.route_template import route_template

# A second series for each of ours, of which nobody makes use.
disable_created_metrics()  # type: ignore[no-untyped-call]

METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"})
_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_NS_PER_S: Final = 1_000_000_000
_NO_STATUS: Final = 499


class Metrics:
    """The figures of one app. `registry` takes more collectors from whoever has figures."""

    def __init__(self) -> None:
        """Make a registry of its own, so that two apps in one process do not mix."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests = Counter(
            "guilder_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "guilder_http_request_seconds",
            "Time from the last header of a request to the end of its answer.",
            ("method", "route"),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "guilder_http_requests_in_flight",
            "Requests that are being answered.",
            registry=self.registry,
        )
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._timers: dict[tuple[str, str], Histogram] = {}

    def record(self, *, method: str, route: str, status: int, duration_ns: int) -> None:
        """Count one request. The children are kept: looking them up by label costs more."""
        method = method if method in METHODS else "other"
        counter = self._counters.get((method, route, status))
        if counter is None:
            counter = self.requests.labels(method, route, str(status))
            self._counters[method, route, status] = counter
        timer = self._timers.get((method, route))
        if timer is None:
            timer = self.seconds.labels(method, route)
            self._timers[method, route] = timer
        counter.inc()
        timer.observe(duration_ns / _NS_PER_S)


class MetricsMiddleware:
    """Records every request."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        """Wrap `app`."""
        self.app = app
        self.metrics = metrics
        self.in_flight = 0
        metrics.in_flight.set_function(lambda: self.in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time and count the request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = _NO_STATUS
        began = time.perf_counter_ns()
        self.in_flight += 1

        def send_noted(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        try:
            await self.app(scope, receive, send_noted)
        finally:
            self.in_flight -= 1
            self.metrics.record(
                method=scope["method"],
                route=route_template(scope),
                status=status,
                duration_ns=time.perf_counter_ns() - began,
            )
