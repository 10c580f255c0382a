"""The database servers of one run: PostgreSQL always, MongoDB where it is installed."""

import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from benchmarks.mongodb import running_mongodb, why_missing
from benchmarks.server import running_server
from guilder.storage.base import Storage

POSTGRESQL = "postgresql"


class Lender(Protocol):
    """A running server of either engine."""

    engine: str

    def storage(self) -> AbstractAsyncContextManager[tuple[Storage, str]]:
        """Lend open storage on a new, migrated database, and its url."""

    async def settle(self) -> None:
        """Have what the last measurement left to do done before the next one begins."""

    async def version(self) -> str:
        """Return the server's version."""


class Reference(Lender, Protocol):
    """The PostgreSQL that everything is compared with."""

    async def pgbench_tps(self) -> float:
        """Return how many TPC-B transactions this server commits in a second, right now."""


@dataclass(frozen=True)
class Engines:
    """The servers that run."""

    postgresql: Reference
    mongodb: Lender | None

    @property
    def lenders(self) -> list[Lender]:
        """All of them; PostgreSQL first, as the others are compared with it."""
        return [self.postgresql, *([self.mongodb] if self.mongodb else [])]


@contextlib.asynccontextmanager
async def running_engines(*, with_mongodb: bool) -> AsyncIterator[Engines]:
    """Run the servers for the time of the measurements; say so if MongoDB is missing."""
    async with contextlib.AsyncExitStack() as stack:
        postgresql = await stack.enter_async_context(running_server())
        mongodb = None
        if with_mongodb:
            reason = why_missing()
            if reason is None:
                mongodb = await stack.enter_async_context(running_mongodb())
            else:
                sys.stderr.write(f"No MongoDB lines: {reason}\n")
        yield Engines(postgresql, mongodb)
