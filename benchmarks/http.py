"""How many transfers a second Guilder commits over HTTP, with everything on.

Authentication, limits, idempotency, metrics, the access log, the chain and all indexes are on;
the limits are set so high that they refuse nothing. Passwords are hashed cheaply, as signing in is
not measured. Only one Guilder runs at a time: in every round it is started anew on each engine's
database, warmed up, measured and stopped.
"""

import asyncio
import concurrent.futures
import contextlib
import multiprocessing
import subprocess
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from benchmarks.engines import POSTGRESQL, Engines, Lender
from benchmarks.load import Payer, Result, run_load
from benchmarks.processor import SERVERS, used_by_command, used_by_family
from benchmarks.report import percentile, report
from benchmarks.rounds import Rounds
from benchmarks.server import fsync_ms, reachable_directory
from benchmarks.start import PORT, URL, guilder
from guilder.kernel.clock import utc_now
from guilder.kernel.ids import WalletId, derived_uuid
from guilder.ledger.chart import AccountCode, system_account
from guilder.ledger.journal import Journal
from guilder.ledger.models import TransferRequest
from guilder.storage.base import Storage
from guilder.wallets.accounts import wallet_account

CONNECTIONS = 64
SECONDS, SINGLE_S, WARM_UP_S = 6.0, 3.0, 2.0
"""Of each round."""
WORKERS = (1, 2)
_NO_LIMIT = "100000000/60"
_PASSWORD = "a benchmark needs no secret 1973"  # noqa: S105
_MONGODB_GOAL = 0.3


@dataclass
class _Load:
    """The same load, round by round."""

    name: str
    connections: int
    tps: Rounds = field(default_factory=Rounds)
    latencies_ms: list[float] = field(default_factory=list)
    errors: int = 0
    client_us: Rounds = field(default_factory=Rounds)
    guilder_us: Rounds = field(default_factory=Rounds)
    database_us: Rounds = field(default_factory=Rounds)

    def add(self, result: Result, *, guilder_s: float, database_s: float) -> None:
        done = result.statuses[201]
        self.tps.add(done / result.seconds)
        for used, seconds in (
            (self.client_us, result.processor_s),
            (self.guilder_us, guilder_s),
            (self.database_us, database_s),
        ):
            used.add(seconds * 1_000_000 / max(done, 1))
        self.latencies_ms += result.latencies_ms
        self.errors += sum(result.statuses.values()) - done


@dataclass
class _Site:
    """What a Guilder on one engine needs, and what it reached."""

    engine: str
    url: str
    directory: Path
    workers: int
    payers: list[Payer] = field(default_factory=list)
    many: _Load = field(default_factory=lambda: _Load("http_transfers", CONNECTIONS))
    one: _Load = field(default_factory=lambda: _Load("http_single", 1))

    def guilder(self) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        """Run Guilder as long as the block lasts."""
        # One process is the default, which needs no setting.
        workers = {"workers": str(self.workers)} if self.workers > 1 else {}
        return guilder(
            self.directory / "data",
            database_url=self.url,
            bcrypt_cost="4",
            access_ttl_s="43200",
            session_idle_s="43200",
            rate_limit_address=_NO_LIMIT,
            rate_limit_user=_NO_LIMIT,
            rate_limit_sign_in=_NO_LIMIT,
            **workers,
        )

    async def measure(self) -> None:
        """Take one round: many connections, and one where one process serves."""
        with self.guilder() as process:
            await _load(self.payers, WARM_UP_S)
            await self._measure(self.many, process, self.payers, SECONDS)
            if self.workers == 1:
                await self._measure(self.one, process, self.payers[:2], SINGLE_S)

    async def _measure(
        self, load: _Load, process: subprocess.Popen[bytes], payers: list[Payer], seconds: float
    ) -> None:
        server = SERVERS[self.engine]
        before = used_by_family(process.pid), used_by_command(server)
        result = await _load(payers, seconds, connections=load.connections)
        load.add(
            result,
            guilder_s=used_by_family(process.pid) - before[0],
            database_s=used_by_command(server) - before[1],
        )


async def http(engines: Engines, *, rounds: int, workers: Sequence[int] = WORKERS) -> None:
    """Print `http_transfers` for each engine and number of processes, and `http_single`.

    Args:
        engines: The servers that run.
        rounds: How many times each figure is taken; the medians are printed.
        workers: Numbers of processes of `guilder serve`, one after the other.
    """
    for count in workers:
        with reachable_directory() as directory:
            async with contextlib.AsyncExitStack() as stack:
                sites = [
                    await stack.enter_async_context(_site(lender, directory, count))
                    for lender in engines.lenders
                ]
                pgbench = Rounds()
                for _ in range(rounds):
                    for site in sites:
                        await site.measure()
                        if site.engine == POSTGRESQL:
                            pgbench.add(await engines.postgresql.pgbench_tps())
                    for lender in engines.lenders:
                        await lender.settle()
                _report(sites, pgbench, fsync=await fsync_ms(directory))


@contextlib.asynccontextmanager
async def _site(lender: Lender, directory: Path, workers: int) -> AsyncIterator[_Site]:
    """Lend a site whose people are registered and have money."""
    async with lender.storage() as (storage, url):
        own = directory / lender.engine
        own.mkdir()
        site = _Site(lender.engine, url, own, workers)
        with site.guilder():
            site.payers = await _payers(CONNECTIONS)
        await _fund(storage, site.payers)
        yield site


def _report(sites: Sequence[_Site], pgbench: Rounds, *, fsync: float) -> None:
    first = {load.name: load.tps for load in (sites[0].many, sites[0].one)}
    for site in sites:
        for load in (site.many, site.one):
            if not load.tps.values:
                continue
            report(
                bench=load.name,
                engine=site.engine,
                workers=site.workers,
                connections=load.connections,
                rounds=len(load.tps.values),
                **load.tps.figures("tps"),
                **_beside(site, load, pgbench, postgresql=first[load.name]),
                p50_ms=percentile(load.latencies_ms, 0.50),
                p99_ms=percentile(load.latencies_ms, 0.99),
                guilder_us=load.guilder_us.median,
                database_us=load.database_us.median,
                client_us=load.client_us.median,
                errors=load.errors,
                fsync_ms=fsync,
            )


def _beside(site: _Site, load: _Load, pgbench: Rounds, *, postgresql: Rounds) -> dict[str, float]:
    """Return the figure to compare with: pgbench's on the same server, or PostgreSQL's own."""
    if site.engine == POSTGRESQL:
        return {
            **pgbench.figures("pgbench_tpcb_tps"),
            "ratio": load.tps.median / pgbench.median,
        }
    return {
        "postgresql_tps": postgresql.median,
        "ratio": load.tps.median / postgresql.median,
        "goal": _MONGODB_GOAL,
    }


async def _load(payers: list[Payer], seconds: float, *, connections: int | None = None) -> Result:
    """Run the client in a process of its own, which the server does not wait for."""
    loop = asyncio.get_running_loop()
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return await loop.run_in_executor(
            pool, _run_load, payers, connections or len(payers), seconds
        )


def _run_load(payers: list[Payer], connections: int, seconds: float) -> Result:
    return run_load(payers, "127.0.0.1", PORT, connections=connections, seconds=seconds)


async def _payers(count: int) -> list[Payer]:
    """Register and sign in, over HTTP like everybody."""
    async with httpx2.AsyncClient(base_url=URL, timeout=30) as client:
        return [await _payer(client, number) for number in range(count)]


async def _payer(client: httpx2.AsyncClient, number: int) -> Payer:
    email = f"payer{number}@example.com"
    person = {"name": f"Payer {number}", "email": email, "password": _PASSWORD}
    registered = await client.post("/v1/register", json=person)
    registered.raise_for_status()
    signed_in = await client.post("/v1/login", json={"email": email, "password": _PASSWORD})
    signed_in.raise_for_status()
    return Payer(signed_in.json()["access_token"], registered.json()["wallet_id"])


async def _fund(storage: Storage, payers: list[Payer]) -> None:
    """Put money into the wallets, straight into the books: gateways are not measured."""
    journal = Journal(storage.ledger())
    await journal.start()
    now = utc_now()
    bank = system_account(AccountCode.GATEWAY_CLEARING, owner="benchmark", asset="USD", now=now)
    wallets = [wallet_account(WalletId(payer.wallet_id), "USD", now=now) for payer in payers]
    await journal.open_accounts([bank, *wallets])
    await journal.post_all(
        [
            TransferRequest(
                id=derived_uuid("benchmark-funds", uuid.uuid4().bytes),
                debit_account_id=bank.id,
                credit_account_id=wallet.id,
                amount_minor=10**12,
                asset="USD",
                code="benchmark",
                fingerprint=bytes(32),
            )
            for wallet in wallets
        ]
    )
    await journal.stop()
