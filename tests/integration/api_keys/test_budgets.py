"""Budgets of money, in the decision of the ledger's writer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from guilder.api_keys.rules import UsageLimits, budget_of
from guilder.holds.service import HoldOrder, HoldService
from guilder.identity.authentication import Principal
from guilder.identity.models import User
from guilder.kernel.errors import GuilderError
from guilder.kernel.ids import encode_id, new_id
from guilder.ledger.errors import LimitExceeded
from guilder.ledger.verify import verify
from guilder.storage.base import Storage
from guilder.transfers.batches import TransferBatches
from guilder.transfers.service import Instruction, Reversal
from guilder.wallets.recipients import Recipient
from tests.support.api_keys import budget
from tests.support.books import fingerprint
from tests.support.people import People, people_on, principal_of


@dataclass
class Shop:
    """Somebody with 10 000 in two currencies and a key, and somebody to pay."""

    people: People
    owner: User
    payee: User

    def key(self, limits: UsageLimits) -> Principal:
        """Return what acts with a new key."""
        return replace(principal_of(self.owner), limits=budget_of(new_id("key"), limits))

    async def send(self, key: Principal, amount: int, currency: str = "USD") -> str:
        """Return what became of a transfer."""
        return await outcome(self.people.transfers.send(key, self.order(amount, currency)))

    async def hold(self, key: Principal, amount: int) -> str:
        """Return what became of a hold."""
        people = self.people
        service = HoldService(
            journal=people.journal,
            wallets=people.wallets,
            identity=people.identity,
            clock=people.clock,
        )
        order = HoldOrder(
            amount_minor=amount,
            currency="USD",
            recipient=Recipient(wallet_id=self.payee.wallet_id),
            description="",
            expires_at=people.clock() + timedelta(days=1),
            key=new_id("order"),
            fingerprint=fingerprint("hold"),
        )
        return await outcome(service.hold(key, order))

    def order(self, amount: int, currency: str = "USD") -> Instruction:
        return Instruction(
            amount_minor=amount,
            currency=currency,
            recipient=Recipient(wallet_id=self.payee.wallet_id),
            description="",
            key=new_id("order"),
            fingerprint=fingerprint((amount, currency)),
        )


async def outcome(asked: Awaitable[object]) -> str:
    try:
        await asked
    except GuilderError as error:
        return error.code
    return "done"


@pytest.fixture
async def shop(storage: Storage) -> AsyncIterator[Shop]:
    async with people_on(storage) as people:
        shop = Shop(people, await people.person(), await people.person())
        for currency in ("USD", "EUR"):
            await people.fund(shop.owner, 10_000, currency)
        yield shop
    report = await verify(storage.ledger())
    assert report.ok, report.difference


async def test_asvs_2_3_2_64_transfers_and_holds_at_once_never_exceed_a_budget(shop: Shop) -> None:
    key = shop.key(budget(("USD", "day", 1_000)))
    asked = [
        shop.send(key, 30 + number) if number % 2 else shop.hold(key, 30 + number)
        for number in range(64)
    ]
    answers = await asyncio.gather(*asked)
    spent = sum(30 + number for number, each in enumerate(answers) if each == "done")
    assert set(answers) == {"done", "limit_exceeded"}
    assert 1_000 - 94 < spent <= 1_000
    # What is left of it can be spent, to the last cent.
    assert await shop.send(key, 1_000 - spent + 1) == "limit_exceeded"
    if spent < 1_000:
        assert await shop.send(key, 1_000 - spent) == "done"


async def test_the_refusal_names_the_budget(shop: Shop) -> None:
    key = shop.key(budget(("USD", "month", 100)))
    with pytest.raises(LimitExceeded, match=r"`api_key_month` allows 100 minor units") as error:
        await shop.people.transfers.send(key, shop.order(101))
    assert error.value.fields[0].code == "limit_api_key_month"
    assert error.value.retry_after_s


async def test_a_currency_without_a_budget_cannot_be_spent(shop: Shop) -> None:
    key = shop.key(budget(("USD", "ever", 100)))
    assert await shop.send(key, 1, "EUR") == "limit_exceeded"
    assert await shop.send(shop.key(UsageLimits()), 1, "EUR") == "done"


async def test_a_key_counts_for_itself_and_windows_for_themselves(shop: Shop) -> None:
    limits = budget(("USD", "day", 60), ("USD", "ever", 100), ("EUR", "day", 5))
    key, other = shop.key(limits), shop.key(limits)
    assert await shop.send(key, 60) == "done"
    assert await shop.send(key, 1) == "limit_exceeded"
    assert await shop.send(key, 5, "EUR") == "done"
    assert await shop.send(other, 60) == "done"
    assert await shop.send(principal_of(shop.owner), 5_000) == "done"


async def test_a_batch_stays_within_the_budget(shop: Shop) -> None:
    people = shop.people
    batches = TransferBatches(
        journal=people.journal,
        wallets=people.wallets,
        identity=people.identity,
        clock=people.clock,
    )
    key = shop.key(budget(("USD", "day", 100)))
    done = await batches.send(key, [shop.order(40) for _ in range(3)], group=None)
    codes = [each.error.code if each.error else "done" for each in done]
    assert codes == ["done", "done", "limit_exceeded"]
    assert await shop.send(key, 21) == "limit_exceeded"
    assert await shop.send(key, 20) == "done"


async def test_giving_money_back_is_spending(shop: Shop) -> None:
    people = shop.people
    await people.fund(shop.payee, 500)
    received = await people.send(shop.payee, shop.owner, 500)
    key = shop.key(budget(("USD", "day", 100)))
    reversal = Reversal(
        transaction_id=encode_id("transfer", received.transfer.id),
        amount_minor=101,
        description="",
        key=new_id("order"),
        fingerprint=fingerprint("reversal"),
    )
    assert await outcome(people.transfers.reverse(key, reversal)) == "limit_exceeded"
