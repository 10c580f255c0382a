"""Four processes on one book, over HTTP: one order, whoever asks whom."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.databases import Database
from tests.support.guilder_process import GuilderProcess, guilder_process
from tests.support.payers import FUNDS, Payer, Payment, Told, make_payers
from tests.support.wire import Reply
from tests.support.workers import figures, wait_for_workers

WORKERS = 4
PEOPLE = 4
LANES = 16
PAYMENTS = 600
ROUNDS = 10
AT_ONCE = 12
_RECONNECT_EVERY = 10


@pytest.fixture
async def four(new_database: Database) -> AsyncIterator[GuilderProcess]:
    """Guilder with four workers on a server of its owner's."""
    urls = {"database_url": new_database.url, "database_owner_url": new_database.owner_url}
    async with guilder_process(workers=WORKERS, **urls) as guilder:
        await wait_for_workers(guilder, WORKERS)
        yield guilder


async def test_four_processes_keep_one_order(four: GuilderProcess) -> None:
    payers = await make_payers(four.host, four.port, PEOPLE)
    told, balances = Told(), Seen()
    watching = asyncio.create_task(balances.watch(four, payers[0]))
    payments = iter([_think(payers, number) for number in range(PAYMENTS)])
    await asyncio.gather(*(_lane(four, payments, told) for _ in range(LANES)))
    await _one_key_everywhere(four, payers, told)
    watching.cancel()
    assert told.unexpected == {}
    assert told.refused, "some payments were to be more than there is"
    assert len(told.paid) + len(told.refused) >= PAYMENTS
    found = {payer.account_id: await _balance(four, payer) for payer in payers}
    assert found == told.balances(payers)
    assert sum(found.values()) == PEOPLE * FUNDS
    assert balances.seen > 0
    assert balances.least >= 0
    transfers = await figures(four, "guilder_journal_transfers_total")
    assert len(transfers) == WORKERS
    assert min(transfers.values()) > 0, transfers
    # Each payment once, and what brought the funds.
    assert sum(transfers.values()) == len(told.paid) + PEOPLE
    assert await four.terminate() == 0, four.last_words()
    report = await four.verify()
    assert report["ok"], report
    assert report["transfers"] == len(told.paid) + PEOPLE


class Seen:
    """What the balance of the hot wallet was while everything was going on."""

    def __init__(self) -> None:
        self.least = FUNDS
        self.seen = 0

    async def watch(self, guilder: GuilderProcess, payer: Payer) -> None:
        while True:
            self.least = min(self.least, await _balance(guilder, payer))
            self.seen += 1


def _think(payers: list[Payer], number: int) -> Payment:
    """Two of three payments are the hot wallet's, in or out; the others cross each other."""
    chance = random.Random(number)
    hot, *others = payers
    one, two = chance.sample(others, 2)
    payer, payee = ((hot, one), (one, hot), (one, two))[number % 3]
    amount = FUNDS * 2 if number % 20 == 0 else chance.randint(1, FUNDS // 2)
    return Payment(payer, payee, amount, f"order {number}")


async def _lane(guilder: GuilderProcess, payments: Iterator[Payment], told: Told) -> None:
    """Ask for payments one after another, on ever new connections."""
    async with guilder.wire() as wire:
        for count, payment in enumerate(payments):
            if count % _RECONNECT_EVERY == 0:
                wire.drop()
            reply = await wire.ask(
                "POST", "/v1/wallet/transfer", payment.body(), **payment.payer.post(payment.key)
            )
            if reply.status == 201:
                told.paid.append((payment, reply.body))
            elif reply.status == 402:
                told.refused.append(payment)
            else:
                told.unexpected[f"{reply.status} {reply.body[:300]!r}"] += 1


async def _one_key_everywhere(guilder: GuilderProcess, payers: list[Payer], told: Told) -> None:
    """Send one request over many connections at once: one effect, one answer."""
    for _ in range(ROUNDS):
        payment = Payment(payers[1], payers[2], 1, secrets.token_hex(8))
        replies = await asyncio.gather(*(_alone(guilder, payment) for _ in range(AT_ONCE)))
        assert {reply.status for reply in replies} in ({201}, {402})
        if replies[0].status == 201:
            assert len({reply.body for reply in replies}) == 1
            assert sum(not reply.is_replayed for reply in replies) == 1
            told.paid.append((payment, replies[0].body))


async def _alone(guilder: GuilderProcess, payment: Payment) -> Reply:
    async with guilder.wire() as wire:
        return await wire.ask(
            "POST", "/v1/wallet/transfer", payment.body(), **payment.payer.post(payment.key)
        )


async def _balance(guilder: GuilderProcess, payer: Payer) -> int:
    async with guilder.wire() as wire:
        wallet = await wire.ask("GET", "/v1/wallet", Authorization=payer.authorization)
    return int(wallet.json()["balance"])
