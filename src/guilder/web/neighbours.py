"""The figures of several workers as one page: whoever is asked asks the others first.

Each worker listens on a socket of its own in a directory that only this user enters. Every figure
carries the number of its worker: a counter that begins anew with a restarted worker is a series of
its own, which Prometheus understands; a sum that drops it would not.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

TIMEOUT_S = 1
"""For a worker that hangs. Its figures are left out, and it is missing in `guilder_workers`."""
_ANSWERING = "Workers whose figures these are."


class _Family(Struct, frozen=True, array_like=True):
    """One metric of one worker."""

    name: str
    documentation: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Family]).decode


class Neighbours:
    """The workers of one server, seen by one of them.

    Args:
        number: Ours, from 1.
        directory: Where the sockets of all of them are.
    """

    def __init__(self, number: int, directory: Path) -> None:
        self._number = number
        self._directory = directory

    @contextlib.asynccontextmanager
    async def telling(self, registry: CollectorRegistry) -> AsyncIterator[None]:
        """Tell our figures to whoever asks, for as long as the block lasts."""

        async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(_encode(_families(registry)))
            writer.close()

        path = self._directory / str(self._number)
        server = await asyncio.start_unix_server(tell, path)
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)

    async def everything(self) -> CollectorRegistry:
        """Return the figures of all workers, each with the number of its worker."""
        paths = sorted(self._directory.iterdir(), key=lambda path: int(path.name))
        told = await asyncio.gather(*map(_ask, paths))
        registry = CollectorRegistry(auto_describe=False)
        found = zip((path.name for path in paths), told, strict=True)
        registry.register(_Together({name: figures for name, figures in found if figures}))
        return registry


class _Together(Collector):
    """What several workers told."""

    def __init__(self, told: dict[str, list[_Family]]) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        """Yield each metric once, with the samples of all."""
        yield GaugeMetricFamily("guilder_workers", _ANSWERING, value=len(self._told))
        metrics: dict[str, Metric] = {}
        for worker, families in self._told.items():
            for each in families:
                metric = metrics.get(each.name)
                if metric is None:
                    metric = metrics[each.name] = Metric(each.name, each.documentation, each.kind)
                for name, labels, value in each.samples:
                    metric.add_sample(name, {"worker": worker, **labels}, value)
        yield from metrics.values()


def _families(registry: CollectorRegistry) -> list[_Family]:
    return [
        _Family(
            metric.name,
            metric.documentation,
            metric.type,
            [(each.name, dict(each.labels), float(each.value)) for each in metric.samples],
        )
        for metric in registry.collect()
    ]


async def _ask(path: Path) -> list[_Family]:
    """Return what a worker tells, nothing if it does not."""
    with contextlib.suppress(OSError, TimeoutError, msgspec.DecodeError):
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return _decode(await reader.read())
            finally:
                writer.close()
    return []
