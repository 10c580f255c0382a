"""People with money over HTTP, for tests of what they do with it."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Any

import httpx2

from guilder.kernel.clock import utc_now
from guilder.kernel.ids import WalletId
from guilder.ledger.chart import AccountCode, system_account
from guilder.ledger.journal import Journal
from guilder.ledger.models import TransferRequest, Verdict
from guilder.wallets.accounts import wallet_account, wallet_account_id
from tests.support.books import fingerprint, transfer_id
from tests.support.http import Person, Running

_numbers = itertools.count(1)
Json = dict[str, Any]


async def spender(guilder: Running, amount: int = 0, asset: str = "USD") -> Person:
    """Register somebody who has money."""
    person = await guilder.person()
    if amount:
        await fund(guilder, person, amount, asset)
    return person


async def fund(guilder: Running, person: Person, amount: int, asset: str = "USD") -> None:
    """Pay money into somebody's wallet."""
    journal: Journal = guilder.app.state.journal
    wallet_id, now = WalletId(person.user["wallet_id"]), utc_now()
    clearing = system_account(AccountCode.GATEWAY_CLEARING, owner="simulator", asset=asset, now=now)
    await journal.open_accounts([clearing, wallet_account(wallet_id, asset, now=now)])
    outcome = await journal.post(
        TransferRequest(
            id=transfer_id(f"spender {next(_numbers)} {wallet_id}"),
            debit_account_id=clearing.id,
            credit_account_id=wallet_account_id(wallet_id, asset),
            amount_minor=amount,
            asset=asset,
            code="payment",
            fingerprint=fingerprint("funding"),
        )
    )
    assert outcome.verdict is Verdict.CREATED


def order(payee: Person, amount: int = 1, /, **more: Any) -> Json:
    """Return the body that sends money to somebody, or sets it aside for them."""
    said = {"amount": amount, "currency": "USD", "to": {"wallet_id": payee.user["wallet_id"]}}
    return {**said, **more}


async def balance(person: Person) -> Json:
    """Return what stands on somebody's wallet in dollars: posted, pending_in, pending_out."""
    found: Json = (await person.get("/v1/wallet")).raise_for_status().json()
    usd = next(each for each in found["balances"] if each["currency"] == "USD")
    return {name: usd[name] for name in ("posted", "pending_in", "pending_out")}


def stands(posted: int, pending_in: int = 0, pending_out: int = 0) -> Json:
    """Return a balance to compare with."""
    return {"posted": posted, "pending_in": pending_in, "pending_out": pending_out}


async def at_once(calls: Iterable[Awaitable[httpx2.Response]]) -> Counter[str]:
    """Send requests at the same time; count the answers by status, or the code of a problem."""
    answers = await asyncio.gather(*calls)
    return Counter(
        str(each.status_code) if each.is_success else each.json()["code"] for each in answers
    )


def same_again(first: httpx2.Response, again: httpx2.Response) -> None:
    """Check that a retry is told the same, byte by byte, and that it is one."""
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"


def code_of(response: httpx2.Response) -> tuple[int, str]:
    """Return the status and code of a problem."""
    return response.status_code, response.json()["code"]
