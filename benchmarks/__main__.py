"""Runs the benchmarks that are named, or all of them."""

import argparse
import asyncio
import signal
from pathlib import Path

import uvloop

from benchmarks.engines import running_engines
from benchmarks.http import WORKERS, http
from benchmarks.ledger import ledger
from benchmarks.machine import machine
from benchmarks.reads import BIG, LARGE, reads
from benchmarks.start import start
from benchmarks.table import fill

NAMES = ("ledger", "reads", "http", "start")
ROUNDS = 5


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; else all")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="how many times a figure is taken"
    )
    parser.add_argument("--no-mongodb", action="store_true", help="measure on PostgreSQL alone")
    parser.add_argument(
        "--workers",
        type=int,
        action="append",
        help=f"processes of `guilder serve`; may be given again; else {WORKERS}",
    )
    parser.add_argument(
        "--big", action="store_true", help=f"read a book of {BIG:,} transfers, not of {LARGE:,}"
    )
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="measure nothing; write the lines of FILE into docs/reference/benchmarks.md",
    )
    return parser


async def main(arguments: argparse.Namespace) -> None:
    """Print a JSON line for each figure of the benchmarks that are named."""
    _stop_servers_when_told_to_end()
    names, rounds = arguments.names or NAMES, arguments.rounds
    if {"ledger", "reads", "http"} & set(names):
        async with running_engines(with_mongodb=not arguments.no_mongodb) as engines:
            await machine(engines)
            if "ledger" in names:
                await ledger(engines, rounds=rounds)
            if "reads" in names:
                await reads(engines, rounds=rounds, transfers=BIG if arguments.big else LARGE)
            if "http" in names:
                await http(engines, rounds=rounds, workers=arguments.workers or WORKERS)
    if "start" in names:
        await start()


def _stop_servers_when_told_to_end() -> None:
    """Have SIGTERM do what Ctrl-C does: leave every block, so that no server stays behind."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


if __name__ == "__main__":
    parser = _parser()
    given = parser.parse_args()
    unknown = set(given.names) - set(NAMES)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if given.markdown:
        fill(given.markdown)
    else:
        uvloop.run(main(given))
