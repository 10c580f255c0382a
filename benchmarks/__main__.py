"""Runs the benchmarks that are named, or all of them."""

import sys

import uvloop

from benchmarks.http import http
from benchmarks.ledger import ledger
from benchmarks.server import running_server
from benchmarks.start import start


async def main(names: list[str]) -> None:
    """Print a JSON line for each figure of the benchmarks in `names`."""
    if "ledger" in names or "http" in names:
        async with running_server() as server:
            if "ledger" in names:
                await ledger(server)
            if "http" in names:
                await http(server)
    if "start" in names:
        await start()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:] or ["ledger", "http", "start"]))
