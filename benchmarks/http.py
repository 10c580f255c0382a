"""How many transfers a second Guilder commits over HTTP, with everything on.

Authentication, limits, idempotency, metrics, the access log, the chain and all indexes are on;
the limits are set so high that they refuse nothing. Passwords are hashed cheaply, as signing in is
not measured.
"""

import asyncio
import concurrent.futures
import multiprocessing
import uuid

import httpx2

from benchmarks.load import Payer, Result, run_load
from benchmarks.report import percentile, report
from benchmarks.server import Server, fsync_ms, reachable_directory
from benchmarks.start import PORT, URL, guilder
from guilder.kernel.clock import utc_now
from guilder.kernel.ids import WalletId, derived_uuid
from guilder.ledger.chart import AccountCode, system_account
from guilder.ledger.journal import Journal
from guilder.ledger.models import TransferRequest
from guilder.storage.base import Storage
from guilder.wallets.accounts import wallet_account

CONNECTIONS = 64
SECONDS = 15.0
WARM_UP_S = 3.0
_NO_LIMIT = "100000000/60"
_PASSWORD = "a benchmark needs no secret 1973"  # noqa: S105


async def http(server: Server) -> None:
    """Print `http_transfers` and `http_single`."""
    with reachable_directory() as directory:
        async with server.storage() as (storage, url):
            with guilder(
                directory / "data",
                database_url=url,
                bcrypt_cost="4",
                rate_limit_address=_NO_LIMIT,
                rate_limit_user=_NO_LIMIT,
                rate_limit_sign_in=_NO_LIMIT,
            ):
                payers = await _payers(CONNECTIONS)
                await _fund(storage, payers)
                await _load(payers, WARM_UP_S)
                before = await server.pgbench_tps()
                many = await _load(payers, SECONDS)
                pgbench = (before + await server.pgbench_tps()) / 2
                _report("http_transfers", many, CONNECTIONS, pgbench, await fsync_ms(directory))
                one = await _load(payers[:2], SECONDS / 3, connections=1)
                _report("http_single", one, 1, pgbench, await fsync_ms(directory))


def _report(name: str, result: Result, connections: int, pgbench: float, fsync: float) -> None:
    done = result.statuses[201]
    report(
        bench=name,
        engine="postgresql",
        connections=connections,
        tps=done / result.seconds,
        pgbench_tpcb_tps=pgbench,
        ratio=done / result.seconds / pgbench,
        p50_ms=percentile(result.latencies_ms, 0.50),
        p99_ms=percentile(result.latencies_ms, 0.99),
        errors=sum(result.statuses.values()) - done,
        fsync_ms=fsync,
    )


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
