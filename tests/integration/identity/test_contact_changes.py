"""Changing an address or a number on real databases: confirmed first, told to the old one."""

from collections.abc import AsyncIterator

import pytest

from guilder.identity.addresses import Contact
from guilder.identity.authentication import Principal
from guilder.identity.contact_changes import masked
from guilder.identity.errors import (
    CodeExpired,
    CodeWrong,
    ContactTaken,
    InvalidCredentials,
    LinkInvalid,
    SmsNotOffered,
    TooManyAttempts,
)
from guilder.identity.models import ContactChange
from guilder.identity.service import IdentityService
from guilder.kernel.errors import InvalidRequest
from guilder.notifications.models import Channel
from guilder.storage.base import Storage
from tests.support.factors import principal_of
from tests.support.identity import PASSWORD, PATIENT, HandClock, application, identity_service
from tests.support.letters import latest

OLD, NEW, PHONE = "old@example.com", "new@example.com", "+12025550123"


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    async with identity_service(storage, clock, throttles=PATIENT) as service:
        await service.register(application(email=OLD))
        clock.move(seconds=1)
        yield service


@pytest.fixture
async def payer(identity: IdentityService) -> Principal:
    return await principal_of(identity, OLD)


async def code_for(
    identity: IdentityService, payer: Principal, storage: Storage, email: str = NEW
) -> str:
    wanted = identity.contact_changes.wanted(email=email)
    await identity.contact_changes.begin(payer, wanted, client=None)
    return (await latest(storage, email, "verify_email"))["code"]


async def confirmed(identity: IdentityService, payer: Principal, code: str) -> str | None:
    user = await identity.contact_changes.complete(payer, Channel.EMAIL, code, client=None)
    return identity.record_of(user).email


async def test_asvs_6_3_7_the_new_address_counts_once_it_is_confirmed_and_the_old_one_is_told(
    identity: IdentityService, payer: Principal, storage: Storage
) -> None:
    code = await code_for(identity, payer, storage)
    waiting = await storage.documents(ContactChange).page({}, limit=10)
    assert NEW not in repr(waiting)
    with pytest.raises(InvalidCredentials):
        await identity.login(email=NEW, password=PASSWORD)
    await identity.login(email=OLD, password=PASSWORD)
    assert await confirmed(identity, payer, code) == NEW
    assert (await latest(storage, OLD, "email_changed_old"))["new_email"] == "n***@example.com"
    assert await latest(storage, NEW, "email_changed_new")
    with pytest.raises(InvalidCredentials):
        await identity.login(email=OLD, password=PASSWORD)
    sign_in = await identity.login(email=NEW, password=PASSWORD)
    assert sign_in.user.email_verified
    with pytest.raises(CodeWrong):
        await confirmed(identity, payer, code)
    # The old address is free for whoever has it.
    await identity.register(application(email=OLD))
    assert await identity.find_by_email(OLD)


async def test_what_was_sent_to_the_old_address_works_no_more(
    identity: IdentityService, payer: Principal, storage: Storage
) -> None:
    old = identity.contact(email=OLD, phone=None)
    await identity.recovery.request(old, client=None)
    link = (await latest(storage, OLD, "password_reset"))["code"]
    await identity.code_sign_in.request(old, client=None)
    sign_in_code = (await latest(storage, OLD, "sign_in_code"))["code"]
    await confirmed(identity, payer, await code_for(identity, payer, storage))
    with pytest.raises(LinkInvalid):
        await identity.recovery.complete(link, "seven other unlikely words", client=None)
    with pytest.raises(CodeWrong):
        await identity.code_sign_in.redeem(old, sign_in_code, password=PASSWORD, client=None)


async def test_an_address_that_somebody_has_shown_is_told_to_who_reads_it_and_not_taken(
    identity: IdentityService, payer: Principal, storage: Storage
) -> None:
    code = await code_for(identity, payer, storage)
    # Taken between the code and its use.
    await identity.register(application(email=NEW))
    other = await principal_of(identity, NEW)
    await identity.contacts.resend(other, Channel.EMAIL, client=None)
    others = (await latest(storage, NEW, "verify_email"))["code"]
    await identity.contacts.verify(other, Channel.EMAIL, others, client=None)
    with pytest.raises(ContactTaken):
        await confirmed(identity, payer, code)
    me = await identity.get_user(payer.user_id)
    assert me is not None
    assert identity.record_of(me).email == OLD
    await identity.login(email=OLD, password=PASSWORD)


async def test_an_address_that_nobody_has_shown_goes_to_who_reads_it(
    identity: IdentityService, payer: Principal, storage: Storage
) -> None:
    other = (await identity.register(application(email=NEW))).record
    await confirmed(identity, payer, await code_for(identity, payer, storage))
    found = await identity.find_by_email(NEW)
    assert found
    assert found.id == payer.user_id
    # The other one sees nothing of it.
    loser = await identity.get_user(other.id)
    assert loser
    assert identity.record_of(loser) == other


async def test_codes_are_for_one_user_one_contact_and_ten_minutes(
    identity: IdentityService, payer: Principal, storage: Storage, clock: HandClock
) -> None:
    first = await code_for(identity, payer, storage)
    second = await code_for(identity, payer, storage, "second@example.com")
    # Whoever reads what is sent to the number shows nothing about the address.
    await identity.contact_changes.begin(
        payer, identity.contact_changes.wanted(phone=PHONE), client=None
    )
    with pytest.raises(CodeWrong):
        await confirmed(identity, payer, (await latest(storage, PHONE, "verify_phone"))["code"])
    with pytest.raises(CodeWrong):
        await confirmed(identity, payer, first)
    await identity.register(application(email="thief@example.com"))
    thief = await principal_of(identity, "thief@example.com")
    with pytest.raises(CodeWrong):
        await confirmed(identity, thief, second)
    clock.move(minutes=10)
    with pytest.raises(CodeExpired):
        await confirmed(identity, payer, second)


async def test_a_new_password_ends_what_was_begun(
    identity: IdentityService, payer: Principal, storage: Storage
) -> None:
    code = await code_for(identity, payer, storage)
    await identity.recovery.request(identity.contact(email=OLD, phone=None), client=None)
    link = (await latest(storage, OLD, "password_reset"))["code"]
    await identity.recovery.complete(link, "seven other unlikely words", client=None)
    with pytest.raises(CodeWrong):
        await confirmed(identity, payer, code)


async def test_a_number_is_changed_alike(
    identity: IdentityService, payer: Principal, storage: Storage
) -> None:
    wanted = identity.contact_changes.wanted(phone=PHONE)
    await identity.contact_changes.begin(payer, wanted, client=None)
    code = (await latest(storage, PHONE, "verify_phone"))["code"]
    user = await identity.contact_changes.complete(payer, Channel.SMS, code, client=None)
    record = identity.record_of(user)
    assert (record.phone, record.phone_verified, record.email) == (PHONE, True, OLD)
    assert (await latest(storage, OLD, "phone_changed"))["new_phone"] == "***23"


async def test_what_cannot_be_is_refused_first(storage: Storage, clock: HandClock) -> None:
    async with identity_service(storage, clock, sms_offered=False) as identity:
        with pytest.raises(SmsNotOffered):
            identity.contact_changes.wanted(phone=PHONE)
        with pytest.raises(InvalidRequest):
            identity.contact_changes.wanted(email="none")


async def test_asking_over_and_over_slows_down(storage: Storage, clock: HandClock) -> None:
    async with identity_service(storage, clock) as identity:
        await identity.register(application(email=OLD))
        payer = await principal_of(identity, OLD)
        for number in range(5):
            wanted = identity.contact_changes.wanted(email=f"new{number}@example.com")
            await identity.contact_changes.begin(payer, wanted, client=None)
        wanted = identity.contact_changes.wanted(email="another@example.com")
        with pytest.raises(TooManyAttempts):
            await identity.contact_changes.begin(payer, wanted, client=None)


@pytest.mark.parametrize(
    ("text", "shown"), [("a@example.com", "a***@example.com"), ("@x", "***@x")]
)
def test_a_mask_shows_little(text: str, shown: str) -> None:
    assert masked(Contact(Channel.EMAIL, text, "")) == shown
