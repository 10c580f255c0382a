"""Workers tell each other their figures, and the page has those of all."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from guilder.web import neighbours
from guilder.web.neighbours import Neighbours


def registry_with(paid: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("paid", "Payments.", ["currency"], registry=registry).labels("USD").inc(paid)
    Histogram("took", "Seconds.", buckets=(1,), registry=registry).observe(0.5)
    return registry


async def test_every_worker_tells_the_figures_of_all(tmp_path: Path) -> None:
    one, two = Neighbours(1, tmp_path), Neighbours(2, tmp_path)
    async with one.telling(registry_with(3)), two.telling(registry_with(40)):
        pages = [generate_latest(await each.everything()).decode() for each in (one, two)]
    assert "guilder_workers 2.0" in pages[0]
    assert 'paid_total{currency="USD",worker="1"} 3.0' in pages[0]
    assert 'paid_total{currency="USD",worker="2"} 40.0' in pages[0]
    assert 'took_bucket{le="1.0",worker="2"} 1.0' in pages[0]
    assert pages[0].count("# TYPE paid_total counter") == 1
    assert pages[0].splitlines() == pages[1].splitlines()
    assert not (tmp_path / "1").exists()


async def test_who_does_not_answer_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "TIMEOUT_S", 0.05)
    one = Neighbours(1, tmp_path)
    (tmp_path / "2").touch()  # Has died, and left its socket.
    silent = await asyncio.start_unix_server(_hang, tmp_path / "3")
    garbage = await asyncio.start_unix_server(_babble, tmp_path / "4")
    async with one.telling(registry_with(3)), silent, garbage:
        page = generate_latest(await one.everything()).decode()
    assert "guilder_workers 1.0" in page
    assert 'worker="1"' in page
    assert not any(f'worker="{number}"' in page for number in (2, 3, 4))


async def _hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer):
        await reader.read()


async def _babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer):
        writer.write(b"\xc1 what?")


async def test_a_worker_takes_the_place_of_one_that_died(tmp_path: Path) -> None:
    first = await asyncio.start_unix_server(_hang, tmp_path / "1")
    first.close()
    again = Neighbours(1, tmp_path)
    async with again.telling(registry_with(7)):
        page = generate_latest(await again.everything()).decode()
    assert 'paid_total{currency="USD",worker="1"} 7.0' in page
