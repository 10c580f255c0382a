"""People who pay each other over HTTP and insist on an answer: one key for each payment, the same
request until the answer is definite, some of them once more afterwards."""

import asyncio
import itertools
import random
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2

from guilder.cli.demo.browser import press
from guilder.kernel.ids import WalletId, decode_id
from guilder.wallets.accounts import wallet_account_id
from tests.support.wire import LOST, Reply, Wire

FUNDS = 20_000
ASK_AGAIN = 0.2
PASSWORD = "seven green kettles sing"
_RETRY = {429, 503}
_PAUSE_S = 0.02
_LOST_PAUSE_S = 0.1
_PATIENCE_S = 90.0


@dataclass(frozen=True)
class Payer:
    """Somebody who is signed in and has funds."""

    wallet_id: str
    authorization: str

    @property
    def account_id(self) -> UUID:
        return wallet_account_id(WalletId(self.wallet_id), "USD")

    def post(self, key: str) -> dict[str, str]:
        return {"Authorization": self.authorization, "Idempotency_Key": key}


@dataclass(frozen=True)
class Payment:
    """One payment, the same however often it is asked for."""

    payer: Payer
    payee: Payer
    amount: int
    key: str

    def body(self) -> dict[str, Any]:
        return {"amount": self.amount, "currency": "USD", "to": {"wallet_id": self.payee.wallet_id}}


@dataclass
class Told:
    """Everything that the payers were told."""

    paid: list[tuple[Payment, bytes]] = field(default_factory=list)
    refused: list[Payment] = field(default_factory=list)
    asked_again: int = 0
    unanswered: int = 0
    contradictions: list[str] = field(default_factory=list)
    unexpected: Counter[str] = field(default_factory=Counter)

    def transfer_ids(self) -> list[UUID]:
        """Return what was acknowledged, as the journal names it."""
        replies = (Reply(201, {}, body).json() for _, body in self.paid)
        return [decode_id("transfer", reply["transaction_id"]) for reply in replies]

    def balances(self, payers: Sequence[Payer]) -> dict[UUID, int]:
        """Work out what every account must have, from nothing but the answers."""
        expected = Counter({payer.account_id: FUNDS for payer in payers})
        for payment, _ in self.paid:
            expected[payment.payer.account_id] -= payment.amount
            expected[payment.payee.account_id] += payment.amount
        return dict(expected)


async def make_payers(host: str, port: int, count: int) -> list[Payer]:
    """Register people and let each of them add funds on the gateway's page."""
    return await asyncio.gather(*(_make_payer(host, port) for _ in range(count)))


async def _make_payer(host: str, port: int) -> Payer:
    email = f"payer-{secrets.token_hex(8)}@example.com"
    person = {"name": "Payer", "email": email, "password": PASSWORD}
    async with Wire(host, port) as wire:
        user = (await wire.ask("POST", "/v1/register", person)).json()
        session = await wire.ask("POST", "/v1/login", {"email": email, "password": PASSWORD})
        payer = Payer(user["wallet_id"], f"Bearer {session.json()['access_token']}")
        order = {"amount": FUNDS, "currency": "USD", "gateway": "simulator"}
        payment = await wire.ask(
            "POST", "/v1/wallet/add-funds", order, **payer.post(secrets.token_hex(8))
        )
        await asyncio.to_thread(_check_out, payment.json()["checkout_url"])
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                wallet = await wire.ask("GET", "/v1/wallet", Authorization=payer.authorization)
                if wallet.json()["balance"] == FUNDS:
                    return payer
                await asyncio.sleep(_PAUSE_S)


def _check_out(url: str) -> None:
    with httpx2.Client(timeout=30, trust_env=False, follow_redirects=True) as browser:
        press(browser, url, "Pay")


class Crowd:
    """All payers, paying each other over `lanes` connections at once until told to stop."""

    def __init__(self, host: str, port: int, payers: Sequence[Payer], *, lanes: int) -> None:
        self.told = Told()
        self.is_stopping = asyncio.Event()
        self._address = (host, port)
        self._payers = payers
        self._chance = random.Random(7)
        self._numbers = itertools.count()
        self._tasks = [asyncio.create_task(self._pay()) for _ in range(lanes)]
        self.answers = 0

    async def wait_for_answers(self, more: int) -> None:
        """Wait until so many more payments were answered."""
        wanted = self.answers + more
        async with asyncio.timeout(_PATIENCE_S):
            while self.answers < wanted:  # noqa: ASYNC110 - an event for each would cost more
                await asyncio.sleep(_PAUSE_S)

    async def finish(self) -> None:
        """Let every payment that was begun come to an answer."""
        self.is_stopping.set()
        async with asyncio.timeout(_PATIENCE_S):
            await asyncio.gather(*self._tasks)

    def cancel(self) -> None:
        """Give up."""
        for task in self._tasks:
            task.cancel()

    async def _pay(self) -> None:
        async with Wire(*self._address) as wire:
            while not self.is_stopping.is_set():
                payment = self._think()
                reply = await self.insist(wire, payment)
                if reply.status != 201:
                    self.told.refused.append(payment)
                    continue
                self.told.paid.append((payment, reply.body))
                if self._chance.random() < ASK_AGAIN:
                    await self.ask_again(wire, payment, reply.body)

    def _think(self) -> Payment:
        payer, payee = self._chance.sample(self._payers, 2)
        amount = self._chance.randint(1, 400)
        return Payment(payer, payee, amount, f"key {next(self._numbers)}")

    async def insist(self, wire: Wire, payment: Payment) -> Reply:
        """Ask until the answer is definite: paid, or not covered."""
        while True:
            try:
                reply = await wire.ask(
                    "POST", "/v1/wallet/transfer", payment.body(), **payment.payer.post(payment.key)
                )
            except LOST:
                self.told.unanswered += 1
                await asyncio.sleep(_LOST_PAUSE_S)
                continue
            if reply.status in (201, 402):
                self.answers += 1
                return reply
            if reply.status not in _RETRY:
                self.told.unexpected[f"{reply.status} {reply.body[:300]!r}"] += 1
            await asyncio.sleep(_PAUSE_S)

    async def ask_again(self, wire: Wire, payment: Payment, body: bytes) -> None:
        """Ask for what was paid; the answer is the one that was given, and says so."""
        reply = await self.insist(wire, payment)
        self.told.asked_again += 1
        if reply.body != body or not reply.is_replayed:
            self.told.contradictions.append(f"{body!r} became {reply.body!r}")
