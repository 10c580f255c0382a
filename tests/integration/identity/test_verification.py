"""Codes that show that an address or a number is the user's own, on real databases."""

from collections.abc import AsyncIterator

import pytest

from guilder.identity.authentication import Principal
from guilder.identity.errors import (
    CodeExpired,
    CodeWrong,
    InvalidCredentials,
    SmsNotOffered,
    TooManyAttempts,
)
from guilder.identity.models import OneTimeCode, User, UserRecord
from guilder.identity.service import IdentityService
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import SessionId
from guilder.notifications.models import Channel, Message
from guilder.storage.base import Storage, Transaction
from tests.support.identity import PASSWORD, HandClock, application, identity_service
from tests.support.letters import latest, letters

EMAIL, PHONE = "payer@example.com", "+12025550123"


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    async with identity_service(storage, clock) as service:
        yield service


def principal_of(user: UserRecord) -> Principal:
    return Principal(user.id, user.wallet_id, SessionId("session_test"))


async def registered(identity: IdentityService, **changes: object) -> UserRecord:
    applied = application(**{"email": EMAIL, "phone": PHONE, **changes})
    return (await identity.register(applied)).record


async def code_for(storage: Storage, to: str = EMAIL, template: str = "verify_email") -> str:
    return (await latest(storage, to, template))["code"]


async def test_the_code_of_the_registration_mail_verifies(
    identity: IdentityService, storage: Storage
) -> None:
    user = await registered(identity)
    assert not user.email_verified
    code = await code_for(storage)
    mine = principal_of(user)
    changed = await identity.contacts.verify(mine, Channel.EMAIL, code, client=None)
    record = identity.record_of(changed)
    assert (record.email_verified, record.phone_verified) == (True, False)
    # A lost answer may be asked for again: the code is used, and the address stays verified.
    again = await identity.contacts.verify(mine, Channel.EMAIL, code, client=None)
    assert again.version == changed.version


async def test_registration_sends_no_sms(identity: IdentityService, storage: Storage) -> None:
    await registered(identity)
    assert await letters(storage, PHONE) == []


async def test_a_number_is_verified_by_a_code_that_is_asked_for(
    identity: IdentityService, storage: Storage
) -> None:
    mine = principal_of(await registered(identity))
    await identity.contacts.resend(mine, Channel.SMS, client=None)
    code = await code_for(storage, PHONE, "verify_phone")
    changed = await identity.contacts.verify(mine, Channel.SMS, code, client=None)
    record = identity.record_of(changed)
    assert (record.email_verified, record.phone_verified) == (False, True)


async def test_a_number_needs_a_number_and_a_way_to_it(
    storage: Storage, clock: HandClock, identity: IdentityService
) -> None:
    mine = principal_of(await registered(identity, phone=None))
    with pytest.raises(NotFound):
        await identity.contacts.resend(mine, Channel.SMS, client=None)
    with pytest.raises(NotFound):
        await identity.contacts.verify(mine, Channel.SMS, "12345678", client=None)
    async with identity_service(storage, clock, sms_offered=False) as without:
        other = principal_of(await registered(without, email="other@example.com"))
        with pytest.raises(SmsNotOffered):
            await without.contacts.resend(other, Channel.SMS, client=None)
        with pytest.raises(SmsNotOffered):
            without.contact(email=None, phone=PHONE)


async def test_only_the_latest_code_of_ones_own_address_is_good(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    mine = principal_of(await registered(identity))
    await registered(identity, email="other@example.com", phone=None)
    first, others = await code_for(storage), await code_for(storage, "other@example.com")
    clock.move(seconds=1)
    await identity.contacts.resend(mine, Channel.EMAIL, client=None)
    second = await code_for(storage)
    for wrong in {first, others} - {second}:
        with pytest.raises(CodeWrong):
            await identity.contacts.verify(mine, Channel.EMAIL, wrong, client=None)
    clock.move(minutes=10)
    with pytest.raises(CodeExpired):
        await identity.contacts.verify(mine, Channel.EMAIL, second, client=None)


async def test_nothing_is_sent_to_who_is_verified(
    identity: IdentityService, storage: Storage
) -> None:
    mine = principal_of(await registered(identity))
    await identity.contacts.verify(mine, Channel.EMAIL, await code_for(storage), client=None)
    before = len(await letters(storage, EMAIL))
    await identity.contacts.resend(mine, Channel.EMAIL, client=None)
    assert len(await letters(storage, EMAIL)) == before


async def test_who_asks_for_codes_over_and_over_waits(
    identity: IdentityService, storage: Storage
) -> None:
    mine = principal_of(await registered(identity))
    for _ in range(5):
        await identity.contacts.resend(mine, Channel.EMAIL, client=None)
    with pytest.raises(TooManyAttempts):
        await identity.contacts.resend(mine, Channel.EMAIL, client=None)


async def test_a_taken_address_is_told_and_its_code_stays_good(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    mine = principal_of(await registered(identity))
    code = await code_for(storage)
    counts = [await counted(storage)]
    clock.move(seconds=1)
    await registered(identity, password="seven other unlikely words")
    counts.append(await counted(storage))
    assert [each.template for each in await letters(storage, EMAIL)] == [
        "verify_email",
        "sign_up_attempt",
    ]
    # As much is written as for a free address, of which there were none before the first.
    assert counts[1] == {name: 2 * count for name, count in counts[0].items()}
    await identity.contacts.verify(mine, Channel.EMAIL, code, client=None)


async def counted(storage: Storage) -> dict[str, int]:
    codes = await storage.documents(OneTimeCode).page({}, limit=1000)
    messages = await storage.documents(Message).page({}, limit=1000)
    return {"codes": len(codes), "messages": len(messages)}


async def test_who_tries_a_taken_number_tells_its_holder(
    identity: IdentityService, storage: Storage
) -> None:
    mine = principal_of(await registered(identity))
    await registered(identity, email="other@example.com")
    # Who has not shown the number may be the one who tries.
    assert [each.template for each in await letters(storage, EMAIL)] == ["verify_email"]
    await identity.contacts.verify(mine, Channel.EMAIL, await code_for(storage), client=None)
    await identity.contacts.resend(mine, Channel.SMS, client=None)
    code = await code_for(storage, PHONE, "verify_phone")
    await identity.contacts.verify(mine, Channel.SMS, code, client=None)
    await registered(identity, email="another@example.com")
    assert [each.template for each in await letters(storage, EMAIL)][1:] == ["sign_up_attempt"]
    for other in ("other@example.com", "another@example.com"):
        assert [each.template for each in await letters(storage, other)] == ["verify_email"]


async def test_a_registration_that_fails_sends_nothing(storage: Storage, clock: HandClock) -> None:
    async def fail(transaction: Transaction, user: User) -> None:
        raise RuntimeError

    async with identity_service(storage, clock, on_registered=[fail]) as identity:
        with pytest.raises(RuntimeError):
            await registered(identity)
    assert await counted(storage) == {"codes": 0, "messages": 0}


async def test_where_it_is_required_nobody_signs_in_unverified(
    storage: Storage, clock: HandClock
) -> None:
    async with identity_service(storage, clock, verified_contact_required=True) as identity:
        await registered(identity)
        with pytest.raises(InvalidCredentials) as unverified:
            await identity.login(email=EMAIL, password=PASSWORD)
        with pytest.raises(InvalidCredentials) as wrong:
            await identity.login(email=EMAIL, password="none of anybody's")
        assert unverified.value.detail == wrong.value.detail
        contact = identity.contact(email=EMAIL, phone=None)
        code = await code_for(storage)
        await identity.code_sign_in.redeem(contact, code, password=PASSWORD, client=None)
        assert (await identity.login(email=EMAIL, password=PASSWORD)).user.email_verified


async def test_the_right_password_of_the_unverified_counts_as_a_wrong_one(
    storage: Storage, clock: HandClock
) -> None:
    # Else the wait, which comes or does not, would tell that the password was right.
    async def tries(identity: IdentityService, email: str, password: str) -> int:
        for tried in range(20):
            try:
                await identity.login(email=email, password=password)
            except InvalidCredentials:
                continue
            except TooManyAttempts:
                return tried
        return 20

    async with identity_service(storage, clock, verified_contact_required=True) as identity:
        await registered(identity)
        await registered(identity, email="other@example.com", phone=None)
        right = await tries(identity, EMAIL, PASSWORD)
        wrong = await tries(identity, "other@example.com", "none of anybody's")
        assert right == wrong < 20
        # Whoever then shows to be the owner does not wait for what went wrong before.
        contact = identity.contact(email=EMAIL, phone=None)
        code = await code_for(storage)
        await identity.code_sign_in.redeem(contact, code, password=PASSWORD, client=None)
        await identity.login(email=EMAIL, password=PASSWORD)
