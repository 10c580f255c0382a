"""Asking for money, and every race to answer: whatever comes first is what happened, for good."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
from msgspec.structs import replace

from guilder.identity.models import User
from guilder.kernel.currency import UnknownCurrency
from guilder.kernel.errors import GuilderError, InvalidRequest, NotFound, Unavailable
from guilder.kernel.ids import new_id
from guilder.ledger.errors import (
    AccountFrozen,
    IdempotencyKeyReused,
    InsufficientFunds,
    LimitExceeded,
    SameAccount,
)
from guilder.ledger.models import Outcome, TransferRequest
from guilder.payment_requests.errors import PaymentRequestEnded, PaymentRequestExpired
from guilder.payment_requests.models import PaymentRequest
from guilder.payment_requests.posting import deciding_id
from guilder.payment_requests.rules import PaymentRequestStatus, Role
from guilder.payment_requests.service import Paid, PaymentRequestService, Wanted
from guilder.wallets.accounts import wallet_account_id
from guilder.wallets.errors import RecipientNotFound
from guilder.wallets.limits import SpendingLimits
from guilder.wallets.recipients import Recipient
from tests.integration.payment_requests.conftest import Table
from tests.support.books import fingerprint
from tests.support.people import principal_of

_keys = (f"key {number}" for number in itertools.count())
PENDING, PAID = PaymentRequestStatus.PENDING, PaymentRequestStatus.PAID
CANCELLED, DECLINED = PaymentRequestStatus.CANCELLED, PaymentRequestStatus.DECLINED
EXPIRED = PaymentRequestStatus.EXPIRED


def wanted(payer: User | Recipient | None, amount: int = 30, **changes: object) -> Wanted:
    if isinstance(payer, User):
        payer = Recipient(wallet_id=payer.wallet_id)
    fields: dict[str, object] = {
        "amount_minor": amount,
        "currency": "USD",
        "payer": payer,
        "description": "",
        "expires_at": None,
        "key": next(_keys),
        "fingerprint": fingerprint(amount),
    }
    return Wanted(**{**fields, **changes})  # type: ignore[arg-type]


async def ask(table: Table, *, is_open: bool = False, amount: int = 30) -> PaymentRequest:
    made = await table.service.create(
        principal_of(table.payee), wanted(None if is_open else table.payer, amount)
    )
    return made.request


async def pay(
    table: Table, request: PaymentRequest, key: str = "", user: User | None = None
) -> Paid:
    payer = principal_of(user or table.payer)
    return await table.service.pay(payer, request.id, key=key or next(_keys))


async def status(table: Table, request: PaymentRequest) -> PaymentRequestStatus:
    return (await table.service.request(request.id, principal_of(table.payee))).status


async def balances(table: Table) -> list[int]:
    return [await table.people.available(user) for user in (table.payer, table.payee)]


async def test_paid_once_and_told_the_same_again(table: Table) -> None:
    request = await ask(table)
    first = await pay(table, request, "mine")
    again = await pay(table, request, "mine")
    assert (first.is_replayed, again.is_replayed) == (False, True)
    assert again.transfer == first.transfer
    with pytest.raises(PaymentRequestEnded, match="paid before"):
        await pay(table, request, "another")
    assert await balances(table) == [70, 30]
    assert await status(table, request) is PAID
    table.people.clock.move(days=31)
    assert (await pay(table, request, "mine")).transfer == first.transfer


@pytest.mark.parametrize("end", [CANCELLED, DECLINED, EXPIRED])
async def test_what_has_ended_is_never_paid(table: Table, end: PaymentRequestStatus) -> None:
    request = await ask(table)
    if end is CANCELLED:
        done = await table.service.cancel(principal_of(table.payee), request.id)
        again = await table.service.cancel(principal_of(table.payee), request.id)
        assert done == again
    elif end is DECLINED:
        done = await table.service.decline(principal_of(table.payer), request.id)
    else:
        table.people.clock.move(days=30)
        assert not await table.service.expire_due()
        done = await table.service.request(request.id, principal_of(table.payer))
    assert done.status is end
    error = PaymentRequestExpired if end is EXPIRED else PaymentRequestEnded
    with pytest.raises(error):
        await pay(table, request)
    for other, user in ((table.service.cancel, table.payee), (table.service.decline, table.payer)):
        if (end, user) not in ((CANCELLED, table.payee), (DECLINED, table.payer)):
            with pytest.raises(error):
                await other(principal_of(user), request.id)
    assert await balances(table) == [100, 0]


async def test_it_expires_although_no_sweep_has_come(table: Table) -> None:
    request = await ask(table)
    table.people.clock.move(days=30)
    assert await status(table, request) is PENDING
    with pytest.raises(PaymentRequestExpired):
        await pay(table, request)
    assert await status(table, request) is EXPIRED


async def test_a_refusal_leaves_it_pending(table: Table) -> None:
    request = await ask(table, amount=101)
    with pytest.raises(InsufficientFunds):
        await pay(table, request, "mine")
    await table.people.fund(table.payer, 1)
    await table.people.journal.freeze(
        wallet_account_id(table.payer.wallet_id, "USD"), is_frozen=True
    )
    with pytest.raises(AccountFrozen):
        await pay(table, request, "mine")
    assert await status(table, request) is PENDING
    await table.people.journal.freeze(
        wallet_account_id(table.payer.wallet_id, "USD"), is_frozen=False
    )
    assert not (await pay(table, request, "mine")).is_replayed


async def test_a_payment_counts_as_spending(table: Table) -> None:
    people = table.people
    limited = PaymentRequestService(
        people.storage,
        people.journal,
        wallets=people.wallets,
        identity=people.identity,
        clock=people.clock,
        base_url="",
        limits=SpendingLimits(daily={"USD": 50}),
    )
    first, second = await ask(table), await ask(table)
    await limited.pay(principal_of(table.payer), first.id, key="1")
    with pytest.raises(LimitExceeded):
        await limited.pay(principal_of(table.payer), second.id, key="2")
    assert await status(table, second) is PENDING


async def test_whoever_has_the_link_pays_an_open_request_and_only_one(table: Table) -> None:
    request = await ask(table, is_open=True)
    other = await table.people.person()
    await table.people.fund(other, 100)
    assert (await table.service.request(request.id, principal_of(other))).status is PENDING
    with pytest.raises(NotFound):
        await table.service.decline(principal_of(other), request.id)
    paid = await asyncio.gather(
        pay(table, request), pay(table, request, user=other), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in paid) == ["Paid", "PaymentRequestEnded"]
    assert await table.people.available(table.payee) == 30


async def test_nobody_pays_himself(table: Table) -> None:
    with pytest.raises(SameAccount):
        await table.service.create(principal_of(table.payee), wanted(table.payee))
    request = await ask(table, is_open=True)
    with pytest.raises(SameAccount):
        await pay(table, request, user=table.payee)


async def test_other_peoples_requests_do_not_exist(table: Table) -> None:
    request, stranger = await ask(table), principal_of(await table.people.person())
    service = table.service
    for request_id in (request.id, new_id("payment_request"), new_id("user"), "nonsense"):
        attempts: list[Awaitable[object]] = [
            service.request(request_id, stranger),
            service.pay(stranger, request_id, key="k"),
            service.decline(stranger, request_id),
            service.cancel(stranger, request_id),
        ]
        for attempt in attempts:
            with pytest.raises(NotFound):
                await attempt
    with pytest.raises(NotFound):
        await service.cancel(principal_of(table.payer), request.id)
    with pytest.raises(NotFound):
        await service.decline(principal_of(table.payee), request.id)
    assert await service.page(stranger, Role.PAYEE, after=None, limit=9) == []


async def test_what_can_be_asked_for(table: Table) -> None:
    payee = principal_of(table.payee)
    for changes, error in (
        ({"currency": "XYZ"}, UnknownCurrency),
        ({"payer": Recipient(email="nobody@example.com")}, RecipientNotFound),
        ({"payer": Recipient(wallet_id=new_id("wallet"))}, RecipientNotFound),
        ({"payer": Recipient(wallet_id="nonsense")}, RecipientNotFound),
        ({"expires_at": table.people.clock()}, InvalidRequest),
        ({"expires_at": table.people.clock() + timedelta(days=367)}, InvalidRequest),
    ):
        with pytest.raises(error):
            await table.service.create(payee, replace(wanted(table.payer), **changes))


async def test_one_key_asks_once(table: Table) -> None:
    payee, order = principal_of(table.payee), wanted(table.payer, key="mine")
    made = await asyncio.gather(*(table.service.create(payee, order) for _ in range(8)))
    assert len({each.request.id for each in made}) == 1
    assert Counter(each.is_replayed for each in made) == {False: 1, True: 7}
    with pytest.raises(IdempotencyKeyReused):
        await table.service.create(payee, wanted(table.payer, 31, key="mine"))
    assert len(await table.service.page(payee, Role.PAYEE, after=None, limit=9)) == 1


async def _race(
    table: Table, request: PaymentRequest, moves: Sequence[Callable[[], Awaitable[object]]]
) -> Counter[str]:
    """Make all moves at once and return what they came to."""
    results = await asyncio.gather(*(move() for move in moves), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, GuilderError):
            raise result
    names = Counter(
        str(result.status) if isinstance(result, PaymentRequest) else type(result).__name__
        for result in results
    )
    found = await status(table, request)
    assert found is not PENDING
    spent = 30 if found is PAID else 0
    assert await balances(table) == [100 - spent, spent]
    assert (names["Paid"] == 1) is (found is PAID)
    for end in (CANCELLED, DECLINED):
        assert (names[end] > 0) is (found is end)
    return names


async def test_sixty_four_payments_at_once_pay_once(table: Table) -> None:
    request = await ask(table)
    names = await _race(table, request, [lambda: pay(table, request)] * 64)
    assert names == {"Paid": 1, "PaymentRequestEnded": 63}


@pytest.mark.parametrize("first", range(4))
async def test_payment_cancellation_refusal_and_expiry_at_once(table: Table, first: int) -> None:
    """One of them happens, and everybody is told the same."""
    request = await ask(table)
    payee, payer = principal_of(table.payee), principal_of(table.payer)

    async def expire() -> None:
        # To the sweep, whose clock is ahead of the others', it is over.
        late = await table.service._requests.get(request.id)
        assert late is not None
        await table.service._withdraw(late, EXPIRED)

    moves: list[Callable[[], Awaitable[object]]] = [
        lambda: pay(table, request),
        lambda: table.service.cancel(payee, request.id),
        lambda: table.service.decline(payer, request.id),
        expire,
    ]
    await _race(table, request, (moves[first:] + moves[:first]) * 16)


async def test_a_payment_that_was_stalled_comes_too_late(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process has found the request pending, then stands still while it is cancelled."""
    request = await ask(table)
    has_begun, goes_on = asyncio.Event(), asyncio.Event()
    post = table.people.wallets.post

    async def stalled(transfer: TransferRequest, wallets: Sequence[str]) -> Outcome:
        has_begun.set()
        await goes_on.wait()
        return await post(transfer, wallets)  # type: ignore[arg-type]

    monkeypatch.setattr(table.people.wallets, "post", stalled)
    payment = asyncio.create_task(pay(table, request))
    await has_begun.wait()
    await table.service.cancel(principal_of(table.payee), request.id)
    goes_on.set()
    with pytest.raises(PaymentRequestEnded, match="cancelled"):
        await payment
    assert await balances(table) == [100, 0]


async def test_a_crash_between_the_journal_and_the_record_is_healed(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The money has moved, and nobody has written down that it did."""
    request, cancelled = await ask(table), await ask(table)

    async def dies(*_: object) -> None:
        raise Unavailable

    with monkeypatch.context() as patched:
        patched.setattr(table.service, "_note", dies)
        with pytest.raises(Unavailable):
            await pay(table, request, "mine")
        with pytest.raises(Unavailable):
            await table.service.cancel(principal_of(table.payee), cancelled.id)
    stored = table.people.storage.documents(PaymentRequest)
    assert {(await _get(table, each)).status for each in (request, cancelled)} == {PENDING}
    assert await status(table, request) is PAID
    assert await status(table, cancelled) is CANCELLED
    page = await table.service.page(principal_of(table.payer), Role.PAYER, after=None, limit=9)
    assert {each.status for each in page} == {CANCELLED, PAID}
    assert (await pay(table, request, "mine")).is_replayed
    table.people.clock.move(days=30)
    await table.service.expire_due()
    assert (await stored.get(cancelled.id) or request).status is CANCELLED
    assert await balances(table) == [70, 30]


async def _get(table: Table, request: PaymentRequest) -> PaymentRequest:
    found = await table.people.storage.documents(PaymentRequest).get(request.id)
    assert found is not None
    return found


async def test_one_that_cannot_be_ended_does_not_stop_the_others(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = await ask(table), await ask(table)
    place = table.service._place

    async def fails(request: PaymentRequest, end: PaymentRequestStatus) -> object:
        if request.id == bad.id:
            raise Unavailable
        return await place(request, end)

    monkeypatch.setattr(table.service, "_place", fails)
    table.people.clock.move(days=30)
    assert not await table.service.expire_due()
    assert [await status(table, each) for each in (bad, good)] == [PENDING, EXPIRED]


async def test_the_sweep_runs_by_itself(table: Table) -> None:
    request = await ask(table)
    table.people.clock.move(days=30)
    table.service.start()
    try:
        async with asyncio.timeout(10):
            while (await _get(table, request)).status is PENDING:  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.01)
    finally:
        await table.service.stop()
    assert (await table.people.journal.book.transfers([deciding_id(request)])) != {}
