"""A wallet as its owner sees it: balances of one moment, and a history from his side."""

import pytest
from msgspec.structs import replace

from guilder.kernel.errors import NotFound
from guilder.kernel.ids import WalletId, encode_id, new_id
from guilder.ledger.models import Verdict
from guilder.ledger.verify import verify
from guilder.storage.base import TransferFilter
from guilder.storage.records import Account, TransferKind
from guilder.wallets.accounts import account_fault, wallet_account_id
from guilder.wallets.rules import (
    HISTORY_KINDS,
    KINDS_BY_STATUS,
    Line,
    TransactionStatus,
    TransactionType,
)
from tests.support.books import request, transfer_id
from tests.support.people import People

EVERYTHING = TransferFilter(kinds=HISTORY_KINDS)


async def history(people: People, wallet_id: WalletId, **options: object) -> list[Line]:
    given: dict[str, object] = {
        "wanted": EVERYTHING,
        "currency": None,
        "before_position": None,
        "limit": 100,
    }
    given |= options
    wanted = given.pop("wanted")
    return await people.wallets.history(wallet_id, wanted, **given)  # type: ignore[arg-type]


async def test_a_new_wallet_stands_at_zero_in_its_default_currency(people: People) -> None:
    user = await people.person()
    view = await people.wallets.view(user.wallet_id)
    assert (view.wallet.user_id, view.wallet.default_currency) == (user.id, "USD")
    assert [(each.asset, each.available) for each in view.accounts] == [("USD", 0)]
    assert view.as_of == people.clock()


async def test_looking_opens_nothing(people: People) -> None:
    user = await people.person()
    await people.wallets.view(user.wallet_id)
    assert await people.journal.book.accounts_of(user.wallet_id) == []


async def test_every_currency_is_shown_in_order_and_the_default_always(people: People) -> None:
    user = await people.person()
    for amount, asset in ((7, "INR"), (5, "EUR")):
        await people.fund(user, amount, asset)
    view = await people.wallets.view(user.wallet_id)
    assert [(each.asset, each.available) for each in view.accounts] == [
        ("EUR", 5),
        ("INR", 7),
        ("USD", 0),
    ]


async def test_an_unknown_wallet(people: People) -> None:
    unknown = WalletId(new_id("wallet"))
    assert not await people.wallets.exists(unknown)
    with pytest.raises(NotFound):
        await people.wallets.view(unknown)
    assert await history(people, unknown) == []


async def test_history_is_told_from_both_sides(people: People) -> None:
    sender, recipient = await people.person("Sender"), await people.person("Recipient")
    await people.fund(sender, 100)
    sent = await people.send(sender, recipient, 30, description="Dinner")
    out, funding = await history(people, sender.wallet_id)
    (into,) = await history(people, recipient.wallet_id)
    assert out.transfer == into.transfer == sent.transfer
    assert (out.type, into.type) == (TransactionType.DEBIT, TransactionType.CREDIT)
    assert (out.leg.posted, into.leg.posted) == (70, 30)
    assert out.account_id == into.counterparty_account_id
    assert funding.type is TransactionType.CREDIT
    parties = await people.wallets.counterparties([out, funding])
    other = parties[out.counterparty_account_id]
    assert (other.wallet_id, other.name) == (recipient.wallet_id, "Recipient")
    gateway = parties[funding.counterparty_account_id]
    assert (gateway.wallet_id, gateway.name) == (None, "simulator")
    assert await people.wallets.counterparties([]) == {}


async def test_filters(people: People) -> None:
    sender, other = await people.person(), await people.person()
    await people.fund(sender, 100)
    await people.fund(sender, 50, "EUR")
    for amount in (1, 2, 3, 4):
        await people.send(sender, other, amount)
    await people.send(sender, other, 5, currency="EUR")

    async def amounts(**fields: object) -> list[int]:
        currency = fields.pop("currency", None)
        wanted = TransferFilter(**{"kinds": HISTORY_KINDS, **fields})  # type: ignore[arg-type]
        lines = await history(people, sender.wallet_id, wanted=wanted, currency=currency)
        return [line.transfer.amount_minor for line in lines]

    assert await amounts() == [5, 4, 3, 2, 1, 50, 100]
    assert await amounts(side="debit") == [5, 4, 3, 2, 1]
    assert await amounts(side=TransactionType.CREDIT) == [50, 100]
    assert await amounts(currency="EUR") == [5, 50]
    assert await amounts(currency="INR") == []
    assert await amounts(amount_at_least=3, amount_below=50) == [5, 4, 3]
    assert await amounts(code="transfer", side="debit", amount_below=2) == [1]
    assert await amounts(kinds=KINDS_BY_STATUS[TransactionStatus.PENDING]) == []
    times = [line.transfer.created_at for line in await history(people, sender.wallet_id)]
    middle = times[3]
    later = await amounts(created_at_least=middle)
    assert later + await amounts(created_below=middle) == await amounts()
    assert len(later) == sum(time >= middle for time in times)


async def test_pages_neither_skip_nor_repeat_while_the_history_grows(people: People) -> None:
    sender, other = await people.person(), await people.person()
    await people.fund(sender, 1_000)
    for amount in range(1, 11):
        await people.send(sender, other, amount)
    seen: list[int] = []
    before = None
    while page := await history(people, sender.wallet_id, before_position=before, limit=3):
        seen += [line.transfer.amount_minor for line in page]
        before = page[-1].transfer.position
        await people.send(sender, other, 500 // len(seen))
    assert seen == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1_000]


async def test_what_is_held_is_pending_and_a_release_is_no_line(people: People) -> None:
    sender, other = await people.person(), await people.person()
    await people.fund(sender, 100)
    await people.wallets.open_accounts([other.wallet_id], "USD")
    ends = {
        "debit_account_id": wallet_account_id(sender.wallet_id, "USD"),
        "credit_account_id": wallet_account_id(other.wallet_id, "USD"),
    }
    hold = request("", "", 10, kind=TransferKind.HOLD, id=transfer_id("hold"), **ends)
    on_hold = {**ends, "hold_id": hold.id}
    capture = request("", "", 4, kind=TransferKind.PARTIAL_CAPTURE, **on_hold)
    release = request("", "", 0, kind=TransferKind.RELEASE, **on_hold)
    outcomes = await people.journal.post_all([hold, capture, release])
    assert {outcome.verdict for outcome in outcomes} == {Verdict.CREATED}
    lines = await history(people, other.wallet_id)
    assert [(line.status, line.transfer.amount_minor) for line in lines] == [
        (TransactionStatus.COMPLETED, 4),
        (TransactionStatus.PENDING, 10),
    ]
    pending = TransferFilter(kinds=KINDS_BY_STATUS[TransactionStatus.PENDING])
    assert len(await history(people, other.wallet_id, wanted=pending)) == 1


async def test_one_transaction_is_for_its_two_sides_only(people: People) -> None:
    sender, recipient, stranger = [await people.person() for _ in range(3)]
    await people.fund(sender, 100)
    sent = await people.send(sender, recipient, 30)
    transaction_id = encode_id("transfer", sent.transfer.id)
    for user, side in (
        (sender, TransactionType.DEBIT),
        (recipient, TransactionType.CREDIT),
    ):
        line = await people.wallets.transaction(user.wallet_id, transaction_id)
        assert (line.transfer, line.type) == (sent.transfer, side)
    for wallet_id, wanted in (
        (stranger.wallet_id, transaction_id),
        (sender.wallet_id, new_id("transfer")),
        (sender.wallet_id, "nonsense"),
        (sender.wallet_id, encode_id("payment", sent.transfer.id)),
    ):
        with pytest.raises(NotFound):
            await people.wallets.transaction(wallet_id, wanted)


async def test_an_account_that_was_given_to_another_wallet_is_found(people: People) -> None:
    """The journal does not say whose an account is; its id does."""
    victim, thief = await people.person(), await people.person()
    await people.fund(victim, 7)
    book = people.journal.book
    assert (await verify(book, account_fault=account_fault)).ok
    (stolen,) = await book.accounts_of(victim.wallet_id)

    def tampered(account: Account) -> str | None:
        if account.id == stolen.id:
            account = replace(account, owner=thief.wallet_id)
        return account_fault(account)

    difference = (await verify(book, account_fault=tampered)).difference
    assert difference is not None
    assert "whose id is" in difference.what
