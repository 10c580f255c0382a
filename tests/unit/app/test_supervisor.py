"""What a supervisor does with workers, tried on little programs in their place."""

import asyncio
import itertools
import pickle
import signal
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from guilder.app.supervisor import Orders, WorkerNotStarted, _end, _Worker, pause_after
from guilder.settings import Settings

_DEAF = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "sys.stdout.write('{}\\n'); sys.stdout.flush(); sys.stdin.read(); signal.pause()"
)


async def spawned(tmp_path: Path, program: str) -> _Worker:
    """Put a little program into the place of a worker."""
    orders = Orders(Settings(data_directory=tmp_path), 2, 1, tmp_path)
    worker = _Worker(orders, (sys.executable, "-c", program))
    await worker.spawn()
    return worker


def test_orders_arrive_as_they_were_given(tmp_path: Path) -> None:
    settings = Settings(
        data_directory=tmp_path, pepper=SecretStr("Yb1xQv7Zk3Lm9Rt5Wc2Nd8Hs4Jf6Gp0U")
    )
    orders = Orders(settings, 7, 2, tmp_path)
    assert pickle.loads(pickle.dumps(orders)) == orders  # noqa: S301 - our own


async def test_who_does_not_end_is_killed(tmp_path: Path) -> None:
    worker = await spawned(tmp_path, _DEAF)
    await worker.begin()
    async with asyncio.timeout(30):
        await _end([worker], timeout_s=0.2)
    assert await worker.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit(7)", "Worker 1 ended with 7 before it was ready."),
        (
            'import sys; sys.stdin.read(1); sys.stdout.write(\'{"failure": "No money."}\\n\')',
            "Worker 1 could not start. No money.",
        ),
    ],
)
async def test_a_failed_start_has_its_reason(tmp_path: Path, program: str, said: str) -> None:
    worker = await spawned(tmp_path, program)
    with pytest.raises(WorkerNotStarted) as failure:
        await worker.begin()
    assert failure.value.detail == said
    await worker.wait()


def test_who_cannot_start_again_is_tried_less_and_less_often() -> None:
    pauses = list(
        itertools.accumulate(
            range(8), lambda pause_s, _: pause_after(pause_s, lived_s=1), initial=0.0
        )
    )
    assert pauses == [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0]
    assert pause_after(10.0, lived_s=30) == 0.1
