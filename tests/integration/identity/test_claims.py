"""One address or number in several records: whose it is, on real databases."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from guilder.identity.errors import CodeWrong, ContactTaken, InvalidCredentials, LinkInvalid
from guilder.identity.models import User, UserRecord
from guilder.identity.permissions import Principal
from guilder.identity.service import IdentityService
from guilder.kernel.errors import GuilderError, Unavailable
from guilder.kernel.ids import SessionId
from guilder.notifications.models import Channel
from guilder.storage.base import Storage
from tests.support.identity import PASSWORD, PATIENT, HandClock, application, identity_service
from tests.support.letters import latest, letters

EMAIL, OTHER, PHONE = "payer@example.com", "other@example.com", "+12025550123"


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    async with identity_service(storage, clock, throttles=PATIENT) as service:
        yield service


async def registered(
    identity: IdentityService, email: str, phone: str | None = PHONE
) -> UserRecord:
    return (await identity.register(application(email=email, phone=phone))).record


def principal_of(user: UserRecord) -> Principal:
    return Principal(user.id, user.wallet_id, SessionId("session_test"))


async def code_for(
    identity: IdentityService, storage: Storage, user: UserRecord, channel: Channel = Channel.SMS
) -> str:
    await identity.contacts.resend(principal_of(user), channel, client=None)
    is_sms = channel is Channel.SMS
    to, template = (user.phone, "verify_phone") if is_sms else (user.email, "verify_email")
    return (await latest(storage, to or "", template))["code"]


async def verified(
    identity: IdentityService, storage: Storage, user: UserRecord, channel: Channel = Channel.SMS
) -> User:
    code = await code_for(identity, storage, user, channel)
    return await identity.contacts.verify(principal_of(user), channel, code, client=None)


async def stored(identity: IdentityService, user: UserRecord) -> User:
    found = await identity.get_user(user.id)
    assert found
    return found


async def test_a_number_that_nobody_has_shown_goes_to_who_shows_it(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    first = await registered(identity, EMAIL)
    second = await registered(identity, OTHER)
    found = await identity.find_by_phone(PHONE)
    assert found
    assert found.id == first.id
    clock.move(minutes=1)
    changed = await verified(identity, storage, second)
    assert identity.record_of(changed).phone_verified
    found = await identity.find_by_phone(PHONE)
    assert found
    assert found.id == second.id
    assert (await identity.login(phone=PHONE, password=PASSWORD)).user.id == second.id
    # Who had it before sees no difference, and neither address nor session is touched.
    assert identity.record_of(await stored(identity, first)) == first
    assert (await identity.login(email=EMAIL, password=PASSWORD)).user.id == first.id


async def test_a_number_that_somebody_has_shown_stays(
    identity: IdentityService, storage: Storage
) -> None:
    first, second = await registered(identity, EMAIL), await registered(identity, OTHER)
    await verified(identity, storage, first)
    code = await code_for(identity, storage, second)
    for _ in range(2):
        with pytest.raises(ContactTaken):
            await identity.contacts.verify(principal_of(second), Channel.SMS, code, client=None)
    assert identity.record_of(await stored(identity, second)) == second
    # Who reads what is sent there is told how to go on, and the code is good for it.
    sign_in = await identity.code_sign_in.redeem(
        identity.contact(email=None, phone=PHONE), code, password=None, client=None
    )
    assert sign_in.user.id == first.id


async def test_many_who_show_a_number_at_once_leave_it_with_one(
    identity: IdentityService, storage: Storage
) -> None:
    people = [await registered(identity, f"payer{number}@example.com") for number in range(4)]
    code = await code_for(identity, storage, people[0])

    async def verify(user: UserRecord) -> str:
        try:
            await identity.contacts.verify(principal_of(user), Channel.SMS, code, client=None)
        except GuilderError as error:
            return error.code
        return "verified"

    answers = await asyncio.gather(*map(verify, people))
    assert answers.count("verified") == 1, answers
    assert set(answers) <= {"verified", ContactTaken.code, CodeWrong.code, Unavailable.code}
    users = [await stored(identity, each) for each in people]
    owners = [each for each in users if each.phone_key is not None]
    assert [each.phone_verified_at is not None for each in owners] == [True]
    assert [each.phone_verified_at is not None for each in users].count(True) == 1


async def test_a_link_from_before_opens_no_account_that_has_lost_its_address(
    identity: IdentityService, storage: Storage
) -> None:
    first = await registered(identity, EMAIL, None)
    await identity.recovery.request(identity.contact(email=EMAIL, phone=None), client=None)
    link = (await latest(storage, EMAIL, "password_reset"))["code"]
    second = await registered(identity, EMAIL, PHONE)
    await verified(identity, storage, second, Channel.EMAIL)
    with pytest.raises(LinkInvalid):
        await identity.recovery.complete(link, "seven other unlikely words", client=None)
    loser = await stored(identity, first)
    assert (loser.email_key, loser.email_verified_at) == (None, None)
    with pytest.raises(InvalidCredentials):
        await identity.login(email=EMAIL, password="seven other unlikely words")


async def test_a_code_signs_nobody_in_who_loses_the_address_meanwhile(
    identity: IdentityService, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await registered(identity, EMAIL, None), await registered(identity, OTHER)
    changes, mine = identity.contact_changes, principal_of(second)
    await changes.begin(mine, changes.wanted(email=EMAIL), client=None)
    code = (await latest(storage, EMAIL, "verify_email"))["code"]
    contact = identity.contact(email=EMAIL, phone=None)
    await identity.code_sign_in.request(contact, client=None)
    sign_in_code = (await latest(storage, EMAIL, "sign_in_code"))["code"]
    passwords = identity.code_sign_in._passwords
    hashed = passwords.hash

    async def slowly(password: str, *, salt: str | None = None) -> str:
        monkeypatch.undo()
        await changes.complete(mine, Channel.EMAIL, code, client=None)
        return await hashed(password, salt=salt)

    monkeypatch.setattr(passwords, "hash", slowly)
    with pytest.raises(Unavailable):
        await identity.code_sign_in.redeem(contact, sign_in_code, password=None, client=None)
    assert (await stored(identity, first)).email_verified_at is None
    found = await identity.find_by_email(EMAIL)
    assert found
    assert found.id == second.id


async def test_what_concerns_an_account_goes_to_no_stranger(
    identity: IdentityService, storage: Storage
) -> None:
    await registered(identity, EMAIL, None)
    second = await registered(identity, EMAIL, PHONE)
    before = [each.template for each in await letters(storage, EMAIL)]
    mine = identity.principal((await identity.login(phone=PHONE, password=PASSWORD)).access_token)
    passwords = [PASSWORD, "seven other unlikely words", "eight more unlikely words"]

    async def change() -> None:
        await identity.recovery.change(
            mine, current=passwords.pop(0), new=passwords[0], client=None
        )

    await change()
    assert [each.template for each in await letters(storage, EMAIL)] == before
    assert identity.reach_of(await stored(identity, second)) is None
    # A number that was shown is better than an address that was not.
    shown = await verified(identity, storage, second)
    await change()
    assert [each.template for each in await letters(storage, EMAIL)] == before
    assert [each.template for each in await letters(storage, PHONE)][-1] == "password_changed"
    reached = identity.reach_of(shown)
    assert reached
    assert reached.text == PHONE


async def test_where_it_is_required_nobody_is_found_by_what_they_have_not_shown(
    storage: Storage, clock: HandClock
) -> None:
    async with identity_service(storage, clock, verified_contact_required=True) as identity:
        user = await registered(identity, EMAIL)
        assert await identity.find_by_email(EMAIL) is None
        assert await identity.find_by_phone(PHONE) is None
        await verified(identity, storage, user, Channel.EMAIL)
        assert await identity.find_by_email(EMAIL)
        assert await identity.find_by_phone(PHONE) is None
        await identity.login(email=EMAIL, password=PASSWORD)
        with pytest.raises(InvalidCredentials):
            await identity.login(phone=PHONE, password=PASSWORD)
