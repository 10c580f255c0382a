"""Faults others had where transfers are written: locks, keys, rows outside the transaction."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx2
import pytest

from guilder.gateways.errors import GatewayUnclear
from guilder.gateways.simulator.models import SimulatedPayment, SimulatedPayout
from guilder.holds.service import HoldOrder, HoldService
from guilder.ledger.journal import Journal
from guilder.ledger.limits import Limit, Window
from guilder.ledger.models import Outcome, Verdict
from guilder.ledger.verify import verify
from guilder.payments.models import Payment
from guilder.payouts.models import Payout
from guilder.storage.base import Storage
from guilder.storage.errors import StorageUnavailable
from guilder.storage.records import TransferKind
from guilder.transfers.service import Instruction, TransferService
from guilder.wallets.limits import SpendingLimits
from guilder.wallets.recipients import Recipient
from tests.support.books import account_id, fingerprint, request, transfer_id
from tests.support.databases import Database
from tests.support.gateways import World
from tests.support.outside import CalledInsideATransaction
from tests.support.people import People, principal_of
from tests.support.postgres_books import created, journals_on, open_funded, posted
from tests.support.races import CROWD
from tests.support.whole_book import broken, instead, whole

T = TypeVar("T")
CREATED, EXISTS = Verdict.CREATED, Verdict.EXISTS
DAILY = Limit(name="daily", subject="payer", maximum=30, window=Window.EVER)


def verdicts(outcomes: list[Outcome]) -> list[Verdict]:
    return [each.verdict for each in outcomes]


async def test_r04_who_is_cancelled_leaves_the_account_usable_at_once(journal: Journal) -> None:
    """blnkfinance/blnk#354: the lock was released on the cancelled context, so it stayed.

    Each lock that stays costs the next one at least the two seconds of a lease or a time-out.
    """
    await open_funded(journal, payer=1_000, payee=0)
    reached = asyncio.Event()

    async def wait_for_ever(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    def freezing() -> "asyncio.Task[object]":
        return asyncio.create_task(journal.freeze(account_id("payer"), is_frozen=True))

    async with asyncio.timeout(60):
        for number in range(40):
            step = ("load_accounts", "set_flags")[number % 2]
            with instead(journal, step, wait_for_ever):
                task = freezing()
                await reached.wait()
                reached.clear()
                await cancelled(task)
            early = freezing()
            for _ in range(number):
                await asyncio.sleep(0)
            await cancelled(early)
            await journal.freeze(account_id("payer"), is_frozen=False)
            asked = request("payer", "payee", 1)
            await cancelled(asyncio.create_task(journal.post(asked)))
            assert (await journal.post(asked)).verdict in (CREATED, EXISTS)
    assert await posted(journal, "payee") == 40


async def cancelled(task: "asyncio.Task[object]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_r09_a_key_counts_once_in_a_batch_and_for_its_owner(
    journal: Journal, people: People
) -> None:
    """formancehq/ledger 1134000c6, a38a7de2d: no unique index over the key; twice in one batch
    crashed.
    """
    await open_funded(journal, payer=100, payee=0)
    once = request("payer", "payee", 10)
    other = request("payer", "payee", 11, id=once.id, fingerprint=fingerprint("other"))
    found = await journal.post_all([once, once, other])
    assert verdicts(found) == [CREATED, EXISTS, Verdict.EXISTS_DIFFERENT]
    assert await posted(journal, "payee") == 10
    one, two = await people.person(), await people.person()
    for sender, payee in ((one, two), (two, one)):
        await people.fund(sender, 100)
        assert not (await people.send(sender, payee, 10, key="same")).is_replayed


async def test_r11_what_was_not_done_left_no_row(people: People) -> None:
    """formancehq/ledger 1ea404b18: an account's row was written on another connection, and
    survived dry run and rollback.
    """
    payer, payee = await people.person(), await people.person()
    await people.fund(payer, 100)
    before = await whole(people.journal.book)
    instruction = Instruction(
        amount_minor=10,
        currency="USD",
        recipient=Recipient(wallet_id=payee.wallet_id),
        description="",
        key="preview",
        fingerprint=fingerprint("preview"),
    )
    await people.transfers.preview(principal_of(payer), instruction)
    assert await whole(people.journal.book) == before


@pytest.mark.parametrize("step", ["append", "advance"])
async def test_r11_an_aborted_batch_left_no_row(journal: Journal, step: str) -> None:
    """formancehq/ledger 1ea404b18, when the batch itself fails."""
    await open_funded(journal, payer=100, payee=0)
    before = await whole(journal.book)
    asked = [
        request("payer", "payee", 10, limits=(DAILY,)),
        request("payer", "payee", 10, kind=TransferKind.HOLD),
    ]
    with broken(journal, step, ZeroDivisionError), pytest.raises(ZeroDivisionError):
        await journal.post_all(asked)
    assert await whole(journal.book) == before
    created(await journal.post_all(asked))


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until the answer is clear, as a client does: a call may time out on a busy machine."""
    while True:
        with contextlib.suppress(GatewayUnclear):
            return await ask()


async def test_r12_the_key_reaches_every_inner_write(world: World) -> None:
    """formancehq/wallets#110: the key was not passed on; creating was a check, then an act."""
    payments = await asyncio.gather(*(insist(lambda: world.begin(key="one")) for _ in range(8)))
    assert len({each.id for each in payments}) == 1
    await world.press(payments[0])
    reference = str(payments[0].reference)
    assert await insist(lambda: world.payments.checker.check_reference("simulator", reference))
    payouts = await asyncio.gather(*(world.withdraw("bank_ok", key="one") for _ in range(8)))
    assert len({each.id for each in payouts}) == 1
    await world.payouts.work()
    for model in (Payment, SimulatedPayment, Payout, SimulatedPayout):
        assert len(await world.storage.documents(model).page({}, limit=10)) == 1, model.__name__
    assert await world.balance() == 0


async def test_r13_balances_are_what_the_journal_says(new_database: Database) -> None:
    """formancehq/ledger 110efd1e5: cached volumes were wrong, and a migration repaired them.

    Every writer remembers accounts. What the others did to them in the meantime, it must notice.
    """
    async with journals_on(new_database, 3) as journals:
        await open_funded(journals[0], a=100, b=100, c=100)
        pairs = list(itertools.permutations("abc", 2))
        for number in range(30):
            writer = journals[number % 3]
            created(await writer.post_all([request(*pairs[number % 6], 1 + number % 3)]))
        for each in journals:
            assert (await verify(each.book)).ok
        derived = dict.fromkeys(map(account_id, "abc"), 0)
        for transfer in await journals[0].book.transfers_after(0, 1_000):
            for key, sign in ((transfer.debit_account_id, -1), (transfer.credit_account_id, 1)):
                if key in derived:
                    derived[key] += sign * transfer.amount_minor
        stored = await journals[0].book.accounts(list(derived))
        assert {key: each.posted for key, each in stored.items()} == derived


async def test_r16_positions_have_no_gap_whatever_fails(new_database: Database) -> None:
    """Formance with Antithesis, 2025: gapless ids broke under faults."""
    async with journals_on(new_database, 3) as journals:
        await open_funded(journals[0], payer=50, payee=0)

        async def abort() -> None:
            async with journals[0].book.batch():
                raise ZeroDivisionError

        async def one(number: int) -> None:
            posting = asyncio.create_task(
                journals[number % 3].post(request("payer", "payee", 1 + number % 2))
            )
            if number % 5 == 0:
                with contextlib.suppress(ZeroDivisionError):
                    await abort()
            if number % 7 == 0:
                posting.cancel()
            await asyncio.gather(posting, return_exceptions=True)

        await asyncio.gather(*map(one, range(90)))
        for each in journals:
            await each.post(request("payer", "payee", 1_000))  # What was cancelled is over by now.
        journal = await journals[0].book.transfers_after(0, 1_000)
        assert [each.position for each in journal] == list(range(1, len(journal) + 1))
        assert (await verify(journals[0].book)).ok


async def test_r18_a_fee_is_taken_with_its_payment_or_neither_is(journal: Journal) -> None:
    """lnbits/lnbits#440, #277: the fee was not reserved before the debit: theft, and balances
    below zero.
    """
    await open_funded(journal, payer=203, payee=0, fees=0)

    async def pay(number: int) -> list[Verdict]:
        group = transfer_id(f"group {number}")
        asked = [
            request("payer", "payee", 100, group_id=group),
            request("payer", "fees", 1, group_id=group),
        ]
        return verdicts(await journal.post_all(asked))

    found = await asyncio.gather(*map(pay, range(8)))
    assert found.count([CREATED, CREATED]) == 2
    assert found.count([Verdict.INSUFFICIENT_FUNDS, Verdict.GROUP_FAILED]) == 6
    created([await journal.post(request("mint", "payer", 99))])
    before = await whole(journal.book)
    # The payment itself is covered; its fee is not.
    assert await pay(9) == [Verdict.GROUP_FAILED, Verdict.INSUFFICIENT_FUNDS]
    assert await whole(journal.book) == before


async def test_r19_the_daily_limit_holds_over_everything_that_spends(people: People) -> None:
    """lnbits/lnbits#2769: the daily limit was not enforced."""
    payer, payee = await people.person(), await people.person()
    await people.fund(payer, 1_000)
    limits = SpendingLimits(daily={"USD": 30})
    services = {"journal": people.journal, "wallets": people.wallets, "identity": people.identity}
    transfers = TransferService(**services, limits=limits, clock=people.clock)  # type: ignore[arg-type]
    holds = HoldService(**services, limits=limits, clock=people.clock)  # type: ignore[arg-type]

    def spend(number: int) -> Awaitable[object]:
        said: dict[str, Any] = {
            "amount_minor": 1,
            "currency": "USD",
            "recipient": Recipient(wallet_id=payee.wallet_id),
            "description": "",
            "key": f"key {number}",
            "fingerprint": fingerprint(number),
        }
        if number % 2:
            return transfers.send(principal_of(payer), Instruction(**said))
        return holds.hold(principal_of(payer), HoldOrder(**said, expires_at=None))

    found = await asyncio.gather(*map(spend, range(CROWD)), return_exceptions=True)
    kinds = [type(each).__name__ for each in found]
    assert kinds.count("LimitExceeded") == CROWD - 30
    assert kinds.count("Sent") + kinds.count("Done") == 30
    assert await people.available(payer) == 970


@pytest.mark.parametrize("error", [StorageUnavailable, ZeroDivisionError])
async def test_r28_a_limit_that_cannot_be_checked_lets_nothing_through(
    journal: Journal, error: type[Exception]
) -> None:
    """LerianStudio/midaz, BENCHMARKS.md F2, F4: every call to the limiter had returned 500,
    unnoticed, because limits failed open.
    """
    await open_funded(journal, payer=100, payee=0)
    before = await whole(journal.book)
    asked = request("payer", "payee", 10, limits=(DAILY,))
    with broken(journal, "load_counters", error), pytest.raises(error):
        await journal.post(asked)
    assert await whole(journal.book) == before
    created([await journal.post(asked)])


async def test_r33_no_call_to_the_outside_inside_a_transaction(storage: Storage) -> None:
    """polarsource/polar, top-up of a wallet: the card processor was called inside the open
    database transaction.

    The guard is on in every test.
    """

    async def call() -> None:
        async with httpx2.AsyncClient(trust_env=False) as client:
            await client.get("http://127.0.0.1:9")

    for opened in (storage.transaction(), storage.ledger().batch()):
        with pytest.raises(CalledInsideATransaction):
            async with opened:
                await call()
        with pytest.raises(httpx2.ConnectError):
            await call()
