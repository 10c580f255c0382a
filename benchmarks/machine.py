"""What the figures were measured on."""

import os
import platform
from pathlib import Path

from benchmarks.engines import Engines
from benchmarks.report import report
from benchmarks.server import fsync_ms, reachable_directory
from guilder.kernel.clock import utc_now


async def machine(engines: Engines) -> None:
    """Print `machine`: the day, the shape of the machine, and the versions."""
    with reachable_directory() as directory:
        report(
            bench="machine",
            date=utc_now().date().isoformat(),
            cores=os.cpu_count(),
            cpu=_first("/proc/cpuinfo", "model name"),
            memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
            system=platform.system(),
            python=platform.python_version(),
            **{f"{each.engine}_version": await each.version() for each in engines.lenders},
            fsync_ms=await fsync_ms(directory),
        )


def _first(path: str, name: str) -> str | None:
    """Return the first value of that name in one of Linux's lists; None elsewhere."""
    file = Path(path)
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
