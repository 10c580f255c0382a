"""The worker processes of a Guilder, and what they tell about themselves."""

import asyncio
import contextlib
import re
import time
from collections import defaultdict
from pathlib import Path

from tests.support.guilder_process import GuilderProcess
from tests.support.processes import is_running
from tests.support.wire import LOST

PATIENCE_S = 90.0
POLL_S = 0.02
_FIGURE = re.compile(r'^(\w+)\{(?:.*,)?worker="(\d+)"\} (\S+)$')


def worker_pids(guilder: GuilderProcess) -> list[int]:
    """Return the processes of the workers that live."""
    tasks = Path(f"/proc/{guilder.pid}/task")
    children = {int(pid) for task in tasks.iterdir() for pid in _children(task)}
    return sorted(pid for pid in children if _is_worker(pid) and is_running(pid))


def _children(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except OSError:
        return []


def _is_worker(pid: int) -> bool:
    try:
        return b"guilder.app.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


async def figures(guilder: GuilderProcess, name: str, having: str = "") -> dict[int, float]:
    """Return the sum of a metric's samples by worker.

    Args:
        having: Part of the labels of the samples that are wanted.
    """
    async with guilder.wire() as wire:
        page = (await wire.ask("GET", "/metrics")).body.decode()
    found: dict[int, float] = defaultdict(float)
    for line in page.splitlines():
        match = _FIGURE.match(line)
        if match and match[1] == name and having in line:
            found[int(match[2])] += float(match[3])
    return dict(found)


async def wait_for_workers(guilder: GuilderProcess, count: int) -> None:
    """Wait until so many workers tell their figures."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(*LOST):
            if len(await figures(guilder, "guilder_journal_running")) == count:
                return
        assert guilder.is_running, guilder.last_words()
        assert time.monotonic() < deadline, guilder.last_words()
        await asyncio.sleep(POLL_S)


async def wait_for_end(pids: list[int]) -> None:
    """Wait until none of the processes lives."""
    async with asyncio.timeout(PATIENCE_S):
        while any(map(is_running, pids)):  # noqa: ASYNC110 - processes tell nobody
            await asyncio.sleep(POLL_S)


def state_of(pid: int) -> str:
    """Return the letter of a process's state: T for stopped, Z for ended, also when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
