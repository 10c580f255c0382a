"""Closing and freezing several currencies: all or nothing, and asking again completes it."""

import functools
from collections.abc import Sequence
from uuid import UUID

import pytest

from guilder.identity.models import User
from guilder.ledger.errors import AccountClosed, AccountNotEmpty
from guilder.ledger.models import TransferRequest
from guilder.storage.errors import StorageUnavailable
from guilder.storage.records import Account
from guilder.wallets.accounts import wallet_account_id
from guilder.wallets.control import WalletControl
from guilder.wallets.models import Wallet
from tests.support.books import fingerprint, transfer_id
from tests.support.people import People

ASSETS = ("EUR", "INR", "USD")


@pytest.fixture
async def owner(people: People) -> User:
    """Somebody with an empty account in each of three currencies."""
    user = await people.person()
    for asset in ASSETS:
        await people.wallets.open_accounts([user.wallet_id], asset)
    return user


@pytest.fixture
def control(people: People) -> WalletControl:
    return WalletControl(storage=people.storage, journal=people.journal, clock=people.clock)


async def flags(people: People, user: User) -> tuple[bool, set[bool]]:
    """Tell whether the record is closed, and which accounts are."""
    wallet = await people.storage.documents(Wallet).get(user.wallet_id)
    assert wallet is not None
    accounts = await people.journal.book.accounts_of(user.wallet_id)
    assert len(accounts) == len(ASSETS)
    return wallet.is_closed, {each.is_closed for each in accounts}


def once_before(people: People, monkeypatch: pytest.MonkeyPatch, name: str, first: object) -> None:
    """Do something once in the moment before the books are asked for flags."""
    ask, calls = getattr(people.journal, name), [first]

    async def asked(account_ids: Sequence[UUID], **flags: bool) -> list[Account]:
        if calls:
            await calls.pop()()  # type: ignore[operator]
        found: list[Account] = await ask(account_ids, **flags)
        return found

    monkeypatch.setattr(people.journal, name, asked)


async def spend(people: People, user: User, asset: str) -> None:
    """Take one unit back out of a wallet."""
    clearing = next(
        each for each in await people.journal.book.accounts_of("simulator") if each.asset == asset
    )
    await people.journal.post(
        TransferRequest(
            id=transfer_id(f"back {asset}"),
            debit_account_id=wallet_account_id(user.wallet_id, asset),
            credit_account_id=clearing.id,
            amount_minor=1,
            asset=asset,
            code="test",
            fingerprint=fingerprint("back"),
        )
    )


@pytest.mark.parametrize("asset", ASSETS)
async def test_money_that_arrives_in_one_currency_leaves_all_open(
    people: People,
    owner: User,
    control: WalletControl,
    monkeypatch: pytest.MonkeyPatch,
    asset: str,
) -> None:
    sender = await people.person()
    await people.fund(sender, 1, asset)
    sending = functools.partial(people.send, sender, owner, currency=asset)
    once_before(people, monkeypatch, "close_all", sending)
    with pytest.raises(AccountNotEmpty):
        await control.close(owner.wallet_id)
    assert await flags(people, owner) == (False, {False})
    await spend(people, owner, asset)
    await control.close(owner.wallet_id)
    assert await flags(people, owner) == (True, {True})


async def cut_off() -> None:
    raise StorageUnavailable


async def test_a_closing_that_was_cut_off_is_completed_by_asking_again(
    people: People, owner: User, control: WalletControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    once_before(people, monkeypatch, "close_all", cut_off)
    with pytest.raises(StorageUnavailable):
        await control.close(owner.wallet_id)
    assert await flags(people, owner) == (True, {False})
    await control.close(owner.wallet_id)
    assert await flags(people, owner) == (True, {True})


async def test_after_it_was_cut_off_and_money_came_asking_again_opens(
    people: People, owner: User, control: WalletControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    once_before(people, monkeypatch, "close_all", cut_off)
    with pytest.raises(StorageUnavailable):
        await control.close(owner.wallet_id)
    sender = await people.person()
    await people.fund(sender, 1)
    await people.send(sender, owner)
    with pytest.raises(AccountNotEmpty):
        await control.close(owner.wallet_id)
    assert await flags(people, owner) == (False, {False})


async def test_who_meets_money_does_not_undo_anothers_closing(
    people: People, owner: User, control: WalletControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    await people.fund(owner, 1)
    once_before(people, monkeypatch, "close_all", cut_off)
    changed = control._change

    async def late(wallet_id: object, change: object) -> object:
        """Another process closes it before the first one writes that it could not."""
        monkeypatch.undo()
        await spend(people, owner, "USD")
        await control.close(owner.wallet_id)
        return await changed(wallet_id, change)  # type: ignore[arg-type]

    monkeypatch.setattr(control, "_change", late)
    with pytest.raises(AccountNotEmpty):
        await control.close(owner.wallet_id)
    assert await flags(people, owner) == (True, {True})


async def test_all_currencies_freeze_at_one_moment(
    people: People, owner: User, control: WalletControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (await people.journal.book.head()).revision
    await control.freeze(owner.wallet_id, is_frozen=True)
    accounts = await people.journal.book.accounts_of(owner.wallet_id)
    assert all(each.is_frozen for each in accounts)
    assert (await people.journal.book.head()).revision == before + 1
    await control.freeze(owner.wallet_id, is_frozen=False)
    await control.close(owner.wallet_id)
    with pytest.raises(AccountClosed):
        await control.freeze(owner.wallet_id, is_frozen=True)
