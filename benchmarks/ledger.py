"""How many transfers a second the ledger commits, against pgbench's TPC-B on the same server.

Between a pgbench run before and one after, so that a machine that drifts drifts for both.
"""

import hashlib
import random
import time
from uuid import UUID

from benchmarks.report import report
from benchmarks.server import PGBENCH_CLIENTS, Server
from guilder.kernel.clock import utc_now
from guilder.kernel.ids import derived_uuid
from guilder.ledger.journal import BATCH_MAX, Journal
from guilder.ledger.models import TransferRequest, Verdict
from guilder.ledger.verify import verify
from guilder.storage.records import Account

ACCOUNTS = 10_000
BATCHES = 30
WARM_UP = 4
_FINGERPRINT = hashlib.sha256(b"benchmark").digest()


async def ledger(server: Server) -> None:
    """Print `ledger_uniform` and `ledger_hot`."""
    for name, is_hot in (("ledger_uniform", False), ("ledger_hot", True)):
        before = await server.pgbench_tps()
        tps = await _tps(server, is_hot=is_hot)
        pgbench = (before + await server.pgbench_tps()) / 2
        report(
            bench=name,
            engine="postgresql",
            accounts=ACCOUNTS,
            batch=BATCH_MAX,
            tps=tps,
            pgbench_tpcb_tps=pgbench,
            pgbench_clients=PGBENCH_CLIENTS,
            ratio=tps / pgbench,
        )


async def _tps(server: Server, *, is_hot: bool) -> float:
    """Return transfers a second, chain and indexes on, each with an id as the API derives it."""
    async with server.storage() as (storage, _):
        journal = Journal(storage.ledger())
        await journal.start()
        accounts = await _open_accounts(journal)
        batches = [_batch(accounts, number, is_hot=is_hot) for number in range(BATCHES)]
        for batch in batches[:WARM_UP]:
            await journal.post_all(batch)
        started = time.perf_counter()
        for batch in batches[WARM_UP:]:
            outcomes = await journal.post_all(batch)
            if any(outcome.verdict is not Verdict.CREATED for outcome in outcomes):
                message = "a transfer of the benchmark was refused"
                raise RuntimeError(message)
        elapsed = time.perf_counter() - started
        await journal.stop()
        books = await verify(storage.ledger())
        if not books.ok:
            raise RuntimeError(str(books.difference))
    return BATCH_MAX * (BATCHES - WARM_UP) / elapsed


async def _open_accounts(journal: Journal) -> list[UUID]:
    now = utc_now()
    accounts = [
        Account(
            id=derived_uuid("benchmark-account", str(number)),
            asset="USD",
            code="benchmark",
            owner="benchmark",
            no_overdraft=False,
            created_at=now,
        )
        for number in range(ACCOUNTS)
    ]
    await journal.open_accounts(accounts)
    return [account.id for account in accounts]


def _batch(accounts: list[UUID], number: int, *, is_hot: bool) -> list[TransferRequest]:
    """Make a batch between random accounts; if hot, each one pays the first account."""
    choose = random.Random(number)
    requests = []
    for line in range(BATCH_MAX):
        debit, credit = choose.sample(range(1, ACCOUNTS), 2)
        requests.append(
            TransferRequest(
                id=derived_uuid("benchmark", f"{number}-{line}"),
                debit_account_id=accounts[debit],
                credit_account_id=accounts[0 if is_hot else credit],
                amount_minor=choose.randint(1, 10_000),
                asset="USD",
                code="benchmark",
                fingerprint=_FINGERPRINT,
            )
        )
    return requests
