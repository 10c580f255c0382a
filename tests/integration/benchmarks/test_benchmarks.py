"""The benchmarks run, in small, and print what they promise. How quickly, nobody asks here."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from benchmarks import ledger as ledger_module
from benchmarks import reads as reads_module
from benchmarks.books import holds, open_book, uniform
from benchmarks.engines import Engines
from benchmarks.ledger import ledger
from benchmarks.reads import reads
from guilder.storage import open_storage
from guilder.storage.base import Storage
from tests.support.databases import DatabaseServer, Server
from tests.support.mongo import MongoServer

PGBENCH_TPS = 100.0


class Lent:
    """Stands for a server of the benchmarks: databases come from the server of the tests."""

    def __init__(self, engine: str, server: Server) -> None:
        self.engine = engine
        self._server = server

    @contextlib.asynccontextmanager
    async def storage(self) -> AsyncIterator[tuple[Storage, str]]:
        async with self._server.database() as database:
            storage = await open_storage(database.url, owner_url=database.owner_url)
            try:
                yield storage, database.url
            finally:
                await storage.close()

    async def settle(self) -> None: ...

    async def version(self) -> str:
        return "1"

    async def pgbench_tps(self) -> float:
        return PGBENCH_TPS


@pytest.fixture
def engines(postgresql: DatabaseServer, mongodb: MongoServer) -> Engines:
    return Engines(Lent("postgresql", postgresql), Lent("mongodb", mongodb))


def _lines(capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, str], dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {(line["bench"], line["engine"]): line for line in lines}


async def test_the_ledger_is_compared_with_pgbench_and_mongodb_with_postgresql(
    engines: Engines, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "BATCHES", {"postgresql": 2, "mongodb": 2})

    await ledger(engines, rounds=2, batch=20, accounts=30)

    lines = _lines(capsys)
    for name in ("ledger_uniform", "ledger_hot", "ledger_holds"):
        first, second = lines.pop((name, "postgresql")), lines.pop((name, "mongodb"))
        assert (first["batch"], first["accounts"], first["rounds"]) == (20, 30, 2)
        assert first["ratio"] == pytest.approx(first["tps"] / PGBENCH_TPS, abs=0.002)
        assert first["tps_min"] <= first["tps"] <= first["tps_max"]
        assert first["guilder_us"] >= 0 <= first["database_us"]
        assert second["postgresql_tps"] == first["tps"]
        assert second["ratio"] == pytest.approx(second["tps"] / first["tps"], abs=0.002)
    assert not lines


async def test_reads_of_a_small_and_a_large_book_are_compared(
    engines: Engines, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads_module, "READS", 5)
    monkeypatch.setattr(reads_module, "READS_WARM_UP", 1)

    await reads(engines, rounds=1, transfers=2_000, accounts=50)

    lines = _lines(capsys)
    for engine in ("postgresql", "mongodb"):
        for name in ("balance_read", "history_read", "totals_read"):
            line = lines.pop((name, engine))
            assert (line["transfers_small"], line["transfers_large"]) == (1_000, 2_000)
            assert line["ratio"] == pytest.approx(
                line["p50_large_ms"] / line["p50_small_ms"], rel=0.02
            )
        assert lines.pop(("verify_tps", engine))["transfers"] == 2_000
    assert not lines


async def test_a_refused_transfer_ends_a_benchmark(engines: Engines) -> None:
    async with open_book(engines.postgresql, accounts=3) as book:
        held, captured = holds(book.accounts, 1, 5)

        with pytest.raises(RuntimeError, match="was refused"):
            await book.post([captured])
        await book.post([held, captured])
        with pytest.raises(RuntimeError, match="was refused"):
            await book.post([held])


async def test_books_that_do_not_verify_end_a_benchmark(engines: Engines) -> None:
    async with open_book(engines.postgresql, accounts=3) as book:
        await book.post(uniform(book.accounts, 1, 5))
        async with book.ledger.batch() as batch:
            accounts = (await batch.load_accounts(book.accounts)).values()
            moved = [replace(each, posted=each.posted + 1) for each in accounts]
            await batch.advance(moved, [], [], batch.head)

        with pytest.raises(RuntimeError, match="is stored at"):
            await book.verify()
