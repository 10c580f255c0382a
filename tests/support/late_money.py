"""A running Guilder and people with money, for features that move it later than it is asked for."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from guilder.kernel.ids import WalletId
from guilder.ledger.chart import AccountCode, system_account
from guilder.ledger.models import TransferRequest, Verdict
from guilder.ledger.verify import verify
from guilder.wallets.accounts import wallet_account_id
from tests.support.books import fingerprint, transfer_id
from tests.support.databases import Server
from tests.support.http import Person, Running, running, settings_for


@contextlib.asynccontextmanager
async def guilder_on(server: Server, data: Path, **settings: Any) -> AsyncIterator[Running]:
    """Run Guilder on a database of its own. In the end its books are right."""
    async with server.database() as database:
        urls = {"database_url": database.url, "database_owner_url": database.owner_url}
        async with running(**settings_for(data, **urls, **settings)) as started:
            yield started
            report = await verify(started.app.state.journal.book)
            assert report.ok, report.difference


async def fund(guilder: Running, person: Person, amount: int, asset: str = "USD") -> None:
    """Pay money into somebody's wallet, past the gateway."""
    state = guilder.app.state
    wallet_id = WalletId(person.user["wallet_id"])
    clearing = system_account(
        AccountCode.GATEWAY_CLEARING, owner="simulator", asset=asset, now=state.clock()
    )
    await state.journal.open_accounts([clearing])
    await state.wallets.open_accounts([wallet_id], asset)
    outcome = await state.journal.post(
        TransferRequest(
            id=transfer_id(f"funding {secrets.token_hex(8)}"),
            debit_account_id=clearing.id,
            credit_account_id=wallet_account_id(wallet_id, asset),
            amount_minor=amount,
            asset=asset,
            code="payment",
            fingerprint=fingerprint("funding"),
        )
    )
    assert outcome.verdict is Verdict.CREATED


async def balance(person: Person) -> int:
    """Return what somebody may spend, in dollar cents."""
    return int((await person.get("/v1/wallet")).raise_for_status().json()["balance"])


def code(answer: Any) -> tuple[int, str]:
    """Return the status and the code of a refusal."""
    return answer.status_code, answer.json()["code"]
