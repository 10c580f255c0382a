"""How long Guilder takes from nothing to its first answer, and how much memory it then holds."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2

from benchmarks.report import report
from benchmarks.server import reachable_directory
from guilder.settings import environment_without_settings

PORT = 18_731
URL = f"http://127.0.0.1:{PORT}"
_DEADLINE_S = 60
_SETTLE_S = 3


@contextlib.contextmanager
def guilder(
    data_directory: Path, *, database_url: str | None = None, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `guilder serve` with these settings until it is ready; stop it in the end."""
    environment = {
        **environment_without_settings(),
        "GUILDER_DATA_DIRECTORY": str(data_directory),
        "GUILDER_PORT": str(PORT),
        "GUILDER_LOG_LEVEL": "info",
        **{f"GUILDER_{name.upper()}": value for name, value in settings.items()},
    }
    if database_url is not None:
        environment["GUILDER_DATABASE_URL"] = database_url
    with (data_directory.parent / "guilder.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "guilder.cli", "serve"], env=environment, stdout=log, stderr=log
        )
        try:
            _wait_until_ready(process)
            yield process
        finally:
            process.terminate()
            process.wait(timeout=_DEADLINE_S)


def _wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{URL}/readyz", timeout=5).is_success:
                return
        time.sleep(0.01)
    message = "Guilder did not become ready"
    raise RuntimeError(message)


async def start() -> None:
    """Print `cold_start_s` for a new and for an existing data directory, and `idle_rss_mb`."""
    with reachable_directory() as directory:
        for which in ("first", "later"):
            began = time.perf_counter()
            with guilder(directory / "data") as process:
                report(
                    bench="cold_start_s",
                    engine="postgresql",
                    start=which,
                    seconds=time.perf_counter() - began,
                    goal=5.0 if which == "first" else 3.0,
                )
                if which == "later":
                    await asyncio.sleep(_SETTLE_S)
                    report(
                        bench="idle_rss_mb",
                        engine="postgresql",
                        megabytes=_rss_mb(process.pid),
                        goal=150.0,
                    )


def _rss_mb(pid: int) -> float:
    """Return the resident memory of a process, without the database's."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    message = "the system tells no VmRSS"
    raise RuntimeError(message)
