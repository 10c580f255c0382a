"""A stop that cannot wait any longer tells those who are left to come back."""

import asyncio
from pathlib import Path

import asyncpg

from tests.support.databases import Database
from tests.support.http import running, settings_for
from tests.support.payers import Payment, make_payers
from tests.support.wire import Wire
from tests.support.workers import PATIENCE_S, POLL_S

_BLOCKED = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


async def test_what_cannot_be_answered_in_time_is_answered_with_503(
    database: Database, tmp_path: Path
) -> None:
    urls = {"database_url": database.url, "database_owner_url": database.owner_url}
    async with running(**settings_for(tmp_path, shutdown_timeout_s=1, **urls)) as guilder:
        payer, payee = await make_payers(*guilder.address, 2)
        connection = await asyncpg.connect(database.owner_url)
        try:
            await connection.execute("BEGIN; SELECT * FROM book_main.head FOR UPDATE")
            async with Wire(*guilder.address) as wire, asyncio.timeout(PATIENCE_S):
                payment = Payment(payer, payee, 1, "too late")
                await wire.send(
                    "POST", "/v1/wallet/transfer", payment.body(), **payer.post(payment.key)
                )
                while not await connection.fetchval(_BLOCKED):  # noqa: ASYNC110 - the database is asked
                    await asyncio.sleep(POLL_S)
                guilder.server.should_exit = True
                reply = await wire.receive()
        finally:
            # What waits in the journal is still committed before the database is let go.
            connection.terminate()
    assert reply.status == 503
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["code"] == "unavailable"
    assert reply.json()["retryable"] is True
