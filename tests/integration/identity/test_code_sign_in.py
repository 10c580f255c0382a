"""Signing in with codes, on real databases: who gets one, and what it is good for."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from guilder.identity.addresses import Contact
from guilder.identity.errors import (
    CodeWrong,
    InvalidCredentials,
    RefreshTokenInvalid,
    TooManyAttempts,
    Unauthenticated,
)
from guilder.identity.models import Session, UserRecord
from guilder.identity.service import IdentityService
from guilder.identity.sessions import SignIn
from guilder.kernel.errors import GuilderError
from guilder.notifications.models import Channel
from guilder.storage.base import Storage
from tests.support.identity import PASSWORD, HandClock, application, identity_service
from tests.support.letters import latest, letters

EMAIL, PHONE = "payer@example.com", "+12025550123"


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    async with identity_service(storage, clock) as service:
        await service.register(application(email=EMAIL, phone=PHONE))
        clock.move(seconds=1)
        yield service


def email_of(identity: IdentityService) -> Contact:
    return identity.contact(email=EMAIL, phone=None)


def phone_of(identity: IdentityService) -> Contact:
    return identity.contact(email=None, phone=PHONE)


async def asked(identity: IdentityService, storage: Storage, contact: Contact) -> str:
    """Ask for a code and read it."""
    await identity.code_sign_in.request(contact, client=None)
    return (await latest(storage, contact.text, "sign_in_code"))["code"]


async def signed_in(
    identity: IdentityService, storage: Storage, *, password: str | None = PASSWORD
) -> SignIn:
    code = await asked(identity, storage, email_of(identity))
    return await identity.code_sign_in.redeem(
        email_of(identity), code, password=password, client=None
    )


async def verify_phone(identity: IdentityService, storage: Storage) -> UserRecord:
    sign_in = await identity.login(email=EMAIL, password=PASSWORD)
    mine = identity.principal(sign_in.access_token)
    await identity.contacts.resend(mine, Channel.SMS, client=None)
    code = (await latest(storage, PHONE, "verify_phone"))["code"]
    return identity.record_of(await identity.contacts.verify(mine, Channel.SMS, code, client=None))


async def test_a_code_signs_in_and_verifies_once(
    identity: IdentityService, storage: Storage
) -> None:
    code = await asked(identity, storage, email_of(identity))
    sign_in = await identity.code_sign_in.redeem(
        email_of(identity), code, password=PASSWORD, client=None
    )
    assert sign_in.user.email_verified
    assert identity.principal(sign_in.access_token).user_id == sign_in.user.id
    with pytest.raises(CodeWrong):
        await identity.code_sign_in.redeem(email_of(identity), code, password=None, client=None)


async def test_many_at_once_open_one_session(identity: IdentityService, storage: Storage) -> None:
    await signed_in(identity, storage)
    code = await asked(identity, storage, email_of(identity))
    before = len(await storage.documents(Session).page({}, limit=100))

    async def redeem() -> str:
        try:
            await identity.code_sign_in.redeem(email_of(identity), code, password=None, client=None)
        except GuilderError as error:
            return error.code
        return "signed in"

    answers = await asyncio.gather(*(redeem() for _ in range(8)))
    assert answers.count("signed in") == 1, answers
    assert len(await storage.documents(Session).page({}, limit=100)) == before + 1


async def test_a_number_signs_in_once_it_is_verified(
    identity: IdentityService, storage: Storage
) -> None:
    await identity.code_sign_in.request(phone_of(identity), client=None)
    assert await letters(storage, PHONE) == []
    await verify_phone(identity, storage)
    code = await asked(identity, storage, phone_of(identity))
    sign_in = await identity.code_sign_in.redeem(
        phone_of(identity), code, password=None, client=None
    )
    assert sign_in.user.phone == PHONE
    # The password is still good: nothing was shown for the first time.
    await identity.login(email=EMAIL, password=PASSWORD)


async def test_a_mistyped_address_lets_no_stranger_in(
    identity: IdentityService, storage: Storage
) -> None:
    # The user has shown a number, and never the address: it may be somebody else's.
    await verify_phone(identity, storage)
    await identity.code_sign_in.request(email_of(identity), client=None)
    await identity.recovery.request(email_of(identity), client=None)
    sent = {each.template for each in await letters(storage, EMAIL)}
    assert sent == {"verify_email"}


async def test_nothing_is_sent_to_who_is_unknown(
    identity: IdentityService, storage: Storage
) -> None:
    nobody = identity.contact(email="nobody@example.com", phone=None)
    await identity.code_sign_in.request(nobody, client=None)
    assert await letters(storage, "nobody@example.com") == []
    with pytest.raises(CodeWrong):
        await identity.code_sign_in.redeem(nobody, "12345678", password=None, client=None)


async def test_who_registered_with_anothers_address_is_put_out(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    intruder = await identity.login(email=EMAIL, password=PASSWORD)
    owner = await signed_in(identity, storage, password=None)
    with pytest.raises(Unauthenticated):
        identity.principal(intruder.access_token)
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(intruder.refresh_token)
    with pytest.raises(InvalidCredentials):
        await identity.login(email=EMAIL, password=PASSWORD)
    assert "password_changed" in [each.template for each in await letters(storage, EMAIL)]
    assert identity.principal(owner.access_token).user_id == owner.user.id
    clock.move(minutes=1)
    assert (await identity.refresh(owner.refresh_token)).user.email_verified


async def test_who_gives_the_password_too_keeps_it(
    identity: IdentityService, storage: Storage
) -> None:
    before = await identity.login(email=EMAIL, password=PASSWORD)
    code = await asked(identity, storage, email_of(identity))
    with pytest.raises(InvalidCredentials):
        await identity.code_sign_in.redeem(
            email_of(identity), code, password="none of anybody's", client=None
        )
    # A slip costs an attempt, not the code.
    await identity.code_sign_in.redeem(email_of(identity), code, password=PASSWORD, client=None)
    assert identity.principal(before.access_token).user_id == before.user.id
    await identity.login(email=EMAIL, password=PASSWORD)


async def test_asvs_6_6_3_the_sixth_guess_waits(
    identity: IdentityService, storage: Storage
) -> None:
    code = await asked(identity, storage, email_of(identity))
    wrong = f"{(int(code) + 1) % 10**8:08}"
    for _ in range(5):
        with pytest.raises(CodeWrong):
            await identity.code_sign_in.redeem(
                email_of(identity), wrong, password=None, client=None
            )
    with pytest.raises(TooManyAttempts):
        await identity.code_sign_in.redeem(email_of(identity), code, password=None, client=None)
