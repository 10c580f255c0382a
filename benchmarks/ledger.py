"""How many transfers a second the ledger commits, against pgbench's TPC-B on the same server.

In every round each figure is taken once, on each engine, with pgbench in between: a machine that
drifts drifts for all of them.
"""

import contextlib
import time
from dataclasses import dataclass, field

from benchmarks import books
from benchmarks.books import OpenBook, open_book
from benchmarks.engines import POSTGRESQL, Engines, Lender
from benchmarks.processor import SERVERS, used_by_command
from benchmarks.report import report
from benchmarks.rounds import Rounds
from benchmarks.server import PGBENCH_CLIENTS
from guilder.ledger.journal import BATCH_MAX

ACCOUNTS = 10_000
BATCHES = {"postgresql": 8, "mongodb": 4}
"""In a round: about three seconds of work for each engine."""
WARM_UP_ROUNDS = 1
_MAKERS = {"ledger_uniform": books.uniform, "ledger_hot": books.hot, "ledger_holds": books.holds}
_MONGODB_GOAL = 0.3


@dataclass
class _Case:
    """One figure on one engine."""

    name: str
    lender: Lender
    book: OpenBook
    size: int
    tps: Rounds = field(default_factory=Rounds)
    pgbench: Rounds = field(default_factory=Rounds)
    guilder_us: Rounds = field(default_factory=Rounds)
    database_us: Rounds = field(default_factory=Rounds)
    _number: int = 0

    async def post(self) -> float:
        """Post the next batches; return transfers a second. Making them takes no measured time."""
        batches: list[books.Batch] = []
        while len(batches) < BATCHES[self.lender.engine]:
            batches += _MAKERS[self.name](self.book.accounts, self._number, self.size)
            self._number += 1
        server = SERVERS[self.lender.engine]
        before = time.process_time(), used_by_command(server)
        tps = await self.book.post(batches)
        after = time.process_time(), used_by_command(server)
        transfers = sum(map(len, batches))
        for used, first, last in zip(
            (self.guilder_us, self.database_us), before, after, strict=True
        ):
            used.add((last - first) * 1_000_000 / transfers)
        return tps


async def ledger(
    engines: Engines, *, rounds: int, batch: int = BATCH_MAX, accounts: int = ACCOUNTS
) -> None:
    """Print `ledger_uniform`, `ledger_hot` and `ledger_holds` for each engine.

    Args:
        engines: The servers that run.
        rounds: How many times each figure is taken; the medians are printed.
        batch: Transfers in a database transaction.
        accounts: Between which they move.
    """
    async with contextlib.AsyncExitStack() as stack:
        cases = [
            _Case(
                name,
                lender,
                await stack.enter_async_context(open_book(lender, accounts=accounts)),
                batch,
            )
            for name in _MAKERS
            for lender in engines.lenders
        ]
        for case in cases * WARM_UP_ROUNDS:
            await case.post()
        for case in cases * rounds:
            case.tps.add(await case.post())
            if case.lender is engines.postgresql:
                case.pgbench.add(await engines.postgresql.pgbench_tps())
            await case.lender.settle()
        for case in cases:
            await case.book.verify()
        _report(cases)


def _report(cases: list[_Case]) -> None:
    medians = {case.name: case.tps.median for case in cases if case.lender.engine == POSTGRESQL}
    for case in cases:
        report(
            bench=case.name,
            engine=case.lender.engine,
            accounts=len(case.book.accounts),
            batch=case.size,
            rounds=len(case.tps.values),
            **case.tps.figures("tps"),
            guilder_us=case.guilder_us.median,
            database_us=case.database_us.median,
            **(_beside_pgbench(case, medians) if case.pgbench.values else _beside(case, medians)),
        )


def _beside_pgbench(case: _Case, medians: dict[str, float]) -> dict[str, float]:
    figures = {
        **case.pgbench.figures("pgbench_tpcb_tps"),
        "pgbench_clients": PGBENCH_CLIENTS,
        "ratio": case.tps.median / case.pgbench.median,
    }
    if case.name == "ledger_hot":
        figures["ratio_to_uniform"] = case.tps.median / medians["ledger_uniform"]
    return figures


def _beside(case: _Case, medians: dict[str, float]) -> dict[str, float]:
    postgresql_tps = medians[case.name]
    return {
        "postgresql_tps": postgresql_tps,
        "ratio": case.tps.median / postgresql_tps,
        "goal": _MONGODB_GOAL,
    }
