"""Sending money: to whom, how much, and what a retry is told."""

import asyncio

import pytest

from guilder.identity.addresses import Addresses
from guilder.identity.models import User
from guilder.kernel.currency import UnknownCurrency
from guilder.ledger.errors import (
    AccountClosed,
    AccountFrozen,
    AmountInvalid,
    IdempotencyKeyReused,
    InsufficientFunds,
    SameAccount,
)
from guilder.transfers.service import Sent
from guilder.wallets.accounts import wallet_account_id
from guilder.wallets.errors import RecipientNotFound
from guilder.wallets.recipients import Recipient
from tests.support.identity import quick_vault
from tests.support.people import People


@pytest.fixture
async def sender(people: People) -> User:
    user = await people.person("Sender")
    await people.fund(user, 100)
    return user


async def test_money_arrives(people: People, sender: User) -> None:
    recipient = await people.person("Recipient")
    sent = await people.send(sender, recipient, 30, description="Dinner")
    assert not sent.is_replayed
    assert sent.transfer.amount_minor == 30
    assert sent.transfer.code == "transfer"
    assert sent.transfer.metadata == {"to": recipient.wallet_id, "description": "Dinner"}
    assert [await people.available(user) for user in (sender, recipient)] == [70, 30]


async def test_without_a_description_none_is_kept(people: People, sender: User) -> None:
    recipient = await people.person()
    sent = await people.send(sender, recipient)
    assert sent.transfer.metadata == {"to": recipient.wallet_id}


async def test_a_recipient_is_found_by_any_of_his_addresses(people: People, sender: User) -> None:
    recipient = await people.person(phone="+12025550123")
    email = people.identity.record_of(recipient).email
    assert email is not None
    for to in (
        Recipient(email=email),
        Recipient(email=email.upper()),
        Recipient(phone="+12025550123"),
        Recipient(phone="+1 (202) 555-0123"),
        Recipient(wallet_id=recipient.wallet_id),
    ):
        sent = await people.send(sender, to, 2)
        assert sent.transfer.metadata["to"] == recipient.wallet_id
    assert await people.available(recipient) == 10


@pytest.mark.parametrize(
    "to",
    [
        Recipient(email="nobody@example.com"),
        Recipient(email="no address"),
        Recipient(phone="+12025550199"),
        Recipient(phone="1"),
        Recipient(wallet_id="wallet_01h455vb4pex5vsknk084sn02q"),
        Recipient(wallet_id="user_01h455vb4pex5vsknk084sn02q"),
        Recipient(wallet_id="nonsense"),
        Recipient(),
    ],
    ids=str,
)
async def test_an_unknown_recipient(people: People, sender: User, to: Recipient) -> None:
    head = await people.journal.book.head()
    for currency in ("USD", "EUR"):
        with pytest.raises(RecipientNotFound):
            await people.send(sender, to, currency=currency)
    assert await people.journal.book.head() == head
    assert len(await people.journal.book.accounts_after(None, 100)) == 2


async def test_currencies_are_opened_on_first_use(people: People, sender: User) -> None:
    recipient = await people.person()
    await people.fund(sender, 10, "EUR")
    await people.send(sender, recipient, 4, currency="EUR")
    assert await people.available(recipient, "EUR") == 4
    with pytest.raises(InsufficientFunds):
        await people.send(sender, recipient, 4, currency="INR")


async def test_the_first_transfer_in_a_currency_by_many_at_once(
    people: People, sender: User
) -> None:
    recipient = await people.person()
    found = await asyncio.gather(
        *(people.send(sender, recipient, 10) for _ in range(16)), return_exceptions=True
    )
    assert sum(isinstance(each, Sent) for each in found) == 10
    assert sum(isinstance(each, InsufficientFunds) for each in found) == 6
    assert await people.available(recipient) == 100


@pytest.mark.parametrize("by", ["wallet_id", "email"])
@pytest.mark.parametrize("currency", ["USD", "EUR"])
async def test_to_oneself(people: People, sender: User, by: str, currency: str) -> None:
    to = Recipient(**{by: getattr(people.identity.record_of(sender), by)})
    with pytest.raises(SameAccount):
        await people.send(sender, to, currency=currency)


@pytest.mark.parametrize("amount", [101, 2**63 - 1])
async def test_more_than_there_is(people: People, sender: User, amount: int) -> None:
    recipient = await people.person()
    with pytest.raises(InsufficientFunds):
        await people.send(sender, recipient, amount)
    assert await people.available(sender) == 100


@pytest.mark.parametrize("amount", [0, -1, 2**63])
async def test_no_amount(people: People, sender: User, amount: int) -> None:
    recipient = await people.person()
    with pytest.raises(AmountInvalid):
        await people.send(sender, recipient, amount)


@pytest.mark.parametrize("currency", ["XXX", "usd", "", "US"])
async def test_no_currency(people: People, sender: User, currency: str) -> None:
    recipient = await people.person()
    with pytest.raises(UnknownCurrency):
        await people.send(sender, recipient, currency=currency)


async def test_a_frozen_wallet_sends_nothing_and_still_receives(
    people: People, sender: User
) -> None:
    recipient = await people.person()
    await people.send(sender, recipient, 10)
    await people.journal.freeze(wallet_account_id(sender.wallet_id, "USD"), is_frozen=True)
    with pytest.raises(AccountFrozen):
        await people.send(sender, recipient, 1)
    await people.send(recipient, sender, 5)
    assert await people.available(sender) == 95


async def test_a_closed_wallet_gets_nothing(people: People, sender: User) -> None:
    recipient = await people.person()
    await people.wallets.open_accounts([recipient.wallet_id], "USD")
    await people.journal.close(wallet_account_id(recipient.wallet_id, "USD"))
    with pytest.raises(AccountClosed):
        await people.send(sender, recipient, 1)
    assert await people.available(sender) == 100


class TestRetries:
    """One key moves money once, for ever."""

    async def test_the_same_answer(self, people: People, sender: User) -> None:
        recipient = await people.person()
        first = await people.send(sender, recipient, 30, key="k")
        again = await people.send(sender, recipient, 30, key="k")
        assert (first.is_replayed, again.is_replayed) == (False, True)
        assert again.transfer == first.transfer
        assert await people.available(sender) == 70

    async def test_64_at_once(self, people: People, sender: User) -> None:
        recipient = await people.person()
        found = await asyncio.gather(
            *(people.send(sender, recipient, 30, key="k") for _ in range(64))
        )
        assert sum(not each.is_replayed for each in found) == 1
        assert len({each.transfer.hash for each in found}) == 1
        assert await people.available(sender) == 70

    async def test_another_request_needs_another_key(self, people: People, sender: User) -> None:
        recipient = await people.person()
        await people.send(sender, recipient, 30, key="k")
        with pytest.raises(IdempotencyKeyReused):
            await people.send(sender, recipient, 31, key="k")
        assert await people.available(sender) == 70

    async def test_keys_are_each_senders_own(self, people: People, sender: User) -> None:
        recipient = await people.person()
        await people.send(sender, recipient, 30, key="k")
        sent = await people.send(recipient, sender, 30, key="k")
        assert not sent.is_replayed
        assert await people.available(sender) == 100

    async def test_a_refusal_is_decided_afresh(self, people: People, sender: User) -> None:
        recipient = await people.person()
        with pytest.raises(InsufficientFunds):
            await people.send(sender, recipient, 101, key="k")
        await people.fund(sender, 1)
        assert not (await people.send(sender, recipient, 101, key="k")).is_replayed

    async def test_when_the_recipient_has_moved_on(self, people: People, sender: User) -> None:
        """His address is nobody's now, or another's: what was sent stays sent, to him."""
        recipient, stranger = await people.person(), await people.person()
        addresses = Addresses(quick_vault())
        to = Recipient(email=addresses.email_of(recipient))
        first = await people.send(sender, to, 30, key="k")
        users = people.storage.documents(User)
        recipient = await users.replace(addresses.with_email(recipient, "moved@example.com"))
        assert await people.identity.find_by_email(to.email or "") is None
        again = await people.send(sender, to, 30, key="k")
        assert (again.is_replayed, again.transfer) == (True, first.transfer)
        with pytest.raises(RecipientNotFound):
            await people.send(sender, to, 30, key="k", request="another")
        with pytest.raises(RecipientNotFound):
            await people.send(sender, to, 30, key="new")
        stranger = await users.replace(addresses.with_email(stranger, to.email))
        again = await people.send(sender, to, 30, key="k")
        assert (again.is_replayed, again.transfer) == (True, first.transfer)
        assert [await people.available(user) for user in (recipient, stranger)] == [30, 0]


async def test_nobody_without_money_opens_an_account_in_anothers_wallet(
    people: People, sender: User
) -> None:
    recipient = await people.person()
    for currency, amount in (("EUR", 1), ("USD", 101)):
        with pytest.raises(InsufficientFunds):
            await people.send(sender, recipient, amount, currency=currency)
    assert await people.journal.book.accounts_of(recipient.wallet_id) == []
