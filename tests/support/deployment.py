"""Several Guilders on one database, as machines behind a load balancer, and people before it."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import httpx2

from guilder.kernel.clock import utc_now
from guilder.kernel.ids import WalletId
from guilder.ledger.chart import AccountCode, system_account
from guilder.ledger.journal import Journal
from guilder.ledger.models import TransferRequest, Verdict
from guilder.ledger.verify import verify
from guilder.wallets.accounts import wallet_account, wallet_account_id
from tests.support.books import fingerprint, transfer_id
from tests.support.databases import Database, reachable_directory
from tests.support.guilder_process import GuilderProcess
from tests.support.http import PASSWORD, Person
from tests.support.postgres_books import journals_on


@dataclass(frozen=True)
class Deployment:
    """Running processes, and the books they share."""

    clients: list[httpx2.AsyncClient]
    journal: Journal

    def among(self, count: int) -> "Deployment":
        """Return the same with the first processes only."""
        return replace(self, clients=self.clients[:count])

    async def person(self, amount: int = 0, asset: str = "USD") -> "Everywhere":
        """Register somebody who has money, and sign them in."""
        client = self.clients[0]
        who = {"email": f"racer-{secrets.token_hex(8)}@example.com", "password": PASSWORD}
        user = await client.post("/v1/register", json={"name": "Racer", **who})
        signed_in = (await client.post("/v1/login", json=who)).raise_for_status().json()
        person = Everywhere(self, user.raise_for_status().json(), signed_in)
        if amount:
            await self._fund(WalletId(person.wallet_id), amount, asset)
        return person

    async def _fund(self, wallet_id: WalletId, amount: int, asset: str) -> None:
        now = utc_now()
        clearing = system_account(
            AccountCode.GATEWAY_CLEARING, owner="simulator", asset=asset, now=now
        )
        await self.journal.open_accounts([clearing, wallet_account(wallet_id, asset, now=now)])
        outcome = await self.journal.post(
            TransferRequest(
                id=transfer_id(f"deployment {wallet_id} {asset}"),
                debit_account_id=clearing.id,
                credit_account_id=wallet_account_id(wallet_id, asset),
                amount_minor=amount,
                asset=asset,
                code="payment",
                fingerprint=fingerprint("funding"),
            )
        )
        assert outcome.verdict is Verdict.CREATED


@dataclass(frozen=True)
class Everywhere:
    """Somebody who is signed in and speaks to every process in turn."""

    deployment: Deployment
    user: dict[str, Any]
    session: dict[str, Any]

    @property
    def wallet_id(self) -> str:
        return str(self.user["wallet_id"])

    def at(self, number: int) -> Person:
        """Return them before one of the processes."""
        clients = self.deployment.clients
        return Person(clients[number % len(clients)], self.user, self.session["access_token"])

    async def balances(self, asset: str = "USD") -> tuple[int, int]:
        """Return what is posted, and what of it is held, as the books have it."""
        account_id = wallet_account_id(WalletId(self.wallet_id), asset)
        found = await self.deployment.journal.book.accounts([account_id])
        account = found.get(account_id)
        return (account.posted, account.pending_out) if account else (0, 0)


async def answers(calls: Iterable[Awaitable[httpx2.Response]]) -> list[tuple[str, bytes]]:
    """Make calls at once; return of each the status, or the code of its problem, and its bytes."""
    found = await asyncio.gather(*calls)
    return [
        (str(each.status_code) if each.is_success else each.json()["code"], each.content)
        for each in found
    ]


@contextlib.asynccontextmanager
async def deployment_on(
    database: Database, processes: int, **settings: object
) -> AsyncIterator[Deployment]:
    """Run so many Guilders. In the end the books are right, and nothing runs."""
    given = {"database_url": database.url, "database_owner_url": database.owner_url, **settings}
    with reachable_directory() as directory:
        guilders = [GuilderProcess(directory, **_as_text(given)) for _ in range(processes)]
        try:
            # The first one makes the tables and the secrets.
            await guilders[0].start()
            for each in guilders[1:]:
                each.spawn()
            for each in guilders[1:]:
                await each.wait_until_ready()
            async with contextlib.AsyncExitStack() as stack:
                (journal,) = await stack.enter_async_context(journals_on(database, 1))
                clients = [await stack.enter_async_context(_client(each)) for each in guilders]
                yield Deployment(clients, journal)
                report = await verify(journal.book)
                assert report.ok, report.difference
        finally:
            for each in guilders:
                each.end()


def _client(guilder: GuilderProcess) -> httpx2.AsyncClient:
    here = f"http://{guilder.host}:{guilder.port}"
    return httpx2.AsyncClient(base_url=here, timeout=60, trust_env=False)


def _as_text(settings: dict[str, object]) -> dict[str, object]:
    return {
        name: json.dumps(value) if isinstance(value, dict) else value
        for name, value in settings.items()
    }
