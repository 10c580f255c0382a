"""Passkeys on real databases: kept, removed, and what they prove."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from guilder.identity.challenges import Given
from guilder.identity.errors import RefreshTokenInvalid, TooManyAttempts
from guilder.identity.factors.errors import FactorWrong, SecondFactorRequired
from guilder.identity.factors.passkey_challenges import TTL_S
from guilder.identity.factors.passkey_errors import (
    PasskeyKnown,
    PasskeyLastWayIn,
    PasskeyNotMade,
    PasskeyRefused,
    TooManyPasskeys,
)
from guilder.identity.factors.passkey_models import Passkey, PasskeyChallenge
from guilder.identity.factors.passkey_rules import PASSKEYS_MAX
from guilder.identity.factors.rules import Method
from guilder.identity.housekeeping import Housekeeping
from guilder.identity.models import Session, User
from guilder.identity.service import IdentityService
from guilder.kernel.errors import GuilderError, NotFound, Unavailable
from guilder.storage.base import Storage
from tests.support.identity import PASSWORD, HandClock, application, identity_service
from tests.support.letters import letters
from tests.support.passkey_payers import CLIENT, Payer, events, payer_of
from tests.support.passkeys import PRESENT, SoftDevice

EMAIL, OTHER_EMAIL = "payer@example.com", "other@example.com"


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    async with identity_service(storage, clock) as service:
        for email in (EMAIL, OTHER_EMAIL):
            await service.register(application(email=email))
        clock.move(seconds=1)
        yield service


@pytest.fixture
async def payer(identity: IdentityService) -> Payer:
    return await payer_of(identity, EMAIL)


async def test_a_passkey_signs_in_and_is_asked_for_nothing_more(
    payer: Payer, storage: Storage, clock: HandClock
) -> None:
    added = await payer.add()
    assert (added.passkey.name, added.passkey.last_used_at) == ("Telephone", None)
    clock.move(minutes=1)
    sign_in = await payer.come_back()
    assert sign_in.user.id == payer.sign_in.user.id
    assert payer.identity.principal(sign_in.access_token).user_id == sign_in.user.id
    (passkey,) = await payer.identity.passkeys.listed(payer.principal.user_id)
    assert passkey.last_used_at == clock.now
    stored = await storage.documents(Passkey).get(passkey.id)
    assert stored is not None
    assert "Telephone" not in stored.name


async def test_asvs_7_4_3_with_a_passkey_added_every_other_session_ends_and_the_user_is_told(
    payer: Payer, storage: Storage
) -> None:
    another = await payer.identity.login(email=EMAIL, password=PASSWORD)
    added = await payer.add()
    assert len(added.recovery_codes) == 10
    with pytest.raises(RefreshTokenInvalid):
        await payer.identity.refresh(another.refresh_token)
    await payer.identity.refresh(payer.sign_in.refresh_token)
    told = [each.values for each in await letters(storage, EMAIL) if each.template[:6] == "factor"]
    assert [each["factor"] for each in told] == ["passkey"]
    (event,) = await events(storage, "factor.added")
    assert event.details == {"method": "passkey", "passkey_id": added.passkey.id}
    # The second one brings no new codes: the first ones are good.
    assert (await payer.add(SoftDevice())).recovery_codes == []


async def test_after_a_passkey_a_password_alone_is_not_enough(payer: Payer) -> None:
    await payer.add()
    with pytest.raises(SecondFactorRequired) as refusal:
        await payer.identity.login(email=EMAIL, password=PASSWORD)
    challenge = refusal.value.extension["challenge"]
    assert isinstance(challenge, dict)
    assert challenge["methods"] == ["passkey", "recovery_code"]


async def test_an_answer_to_a_factor_is_for_its_user_and_challenge_only(
    identity: IdentityService, payer: Payer
) -> None:
    await payer.add()
    other = await payer_of(identity, OTHER_EMAIL)
    await other.add()
    proofs, user_id = identity.passkey_proofs, payer.principal.user_id
    user = await identity.get_user(user_id)
    assert user is not None

    async def shown(device: SoftDevice, challenge_id: str = "challenge_1") -> Given:
        options = await proofs.factor_options(user_id, challenge_id)
        allowed = options.public_key["allowCredentials"]
        assert len(allowed) == 1
        return Given(method=Method.PASSKEY, assertion=device.show(options.public_key))

    given = await shown(payer.device)
    await proofs.prove(user, given, challenge_id="challenge_1")
    options = await proofs.sign_in_options()
    for wrong in (
        given,
        await shown(payer.device, "challenge_2"),
        await shown(other.device),
        Given(method=Method.PASSKEY, assertion=payer.device.show(options.public_key)),
        Given(method=Method.PASSKEY, assertion={}),
        Given(method=Method.PASSKEY, assertion={**given.assertion, "id": 5}),
    ):
        with pytest.raises(FactorWrong):
            await proofs.prove(user, wrong, challenge_id="challenge_1")
    # Nor does an answer to a factor's challenge sign in.
    with pytest.raises(PasskeyRefused):
        await proofs.sign_in(dict((await shown(payer.device)).assertion), client=CLIENT)


async def test_64_answers_to_one_challenge_open_one_session(payer: Payer, storage: Storage) -> None:
    device = SoftDevice(counts=False)
    await payer.add(device)
    before = len(await storage.documents(Session).page({}, limit=1000))
    options = await payer.identity.passkey_proofs.sign_in_options()
    shown = device.show(options.public_key)

    async def once() -> str:
        try:
            await payer.identity.passkey_proofs.sign_in(shown, client=None)
        except PasskeyRefused:
            return "refused"
        return "signed in"

    outcomes = await asyncio.gather(*(once() for _ in range(64)))
    assert (outcomes.count("signed in"), outcomes.count("refused")) == (1, 63)
    assert len(await storage.documents(Session).page({}, limit=1000)) == before + 1


async def test_a_challenge_ends_after_five_minutes(
    payer: Payer, clock: HandClock, storage: Storage
) -> None:
    await payer.add()
    proofs, passkeys = payer.identity.passkey_proofs, payer.identity.passkeys
    options = await proofs.sign_in_options()
    creation = await passkeys.creation_options(payer.principal)
    clock.move(seconds=TTL_S)
    with pytest.raises(PasskeyRefused) as refusal:
        await proofs.sign_in(payer.device.show(options.public_key), client=None)
    assert refusal.value.because == "challenge"
    made = SoftDevice().make(creation.public_key)
    with pytest.raises(PasskeyNotMade):
        await passkeys.add(payer.principal, made, name="Late", client=None)
    await proofs.sign_in_options()
    clock.move(seconds=TTL_S + 1)
    await Housekeeping(storage=storage, clock=clock).sweep()
    assert await storage.documents(PasskeyChallenge).page({}, limit=10) == []


async def test_a_new_passkey_answers_its_own_users_challenge_once(
    identity: IdentityService, payer: Payer, storage: Storage
) -> None:
    other = await payer_of(identity, OTHER_EMAIL)
    options = await identity.passkeys.creation_options(payer.principal)
    made = payer.device.make(options.public_key)
    with pytest.raises(PasskeyNotMade):
        await identity.passkeys.add(other.principal, made, name="Mine", client=CLIENT)
    with pytest.raises(PasskeyNotMade):
        # Whoever shows it wrongly has used it up.
        await identity.passkeys.add(payer.principal, made, name="Mine", client=CLIENT)
    with pytest.raises(PasskeyNotMade):
        await identity.passkeys.add(payer.principal, {"id": "x"}, name="Mine", client=CLIENT)
    assert [each.outcome for each in await events(storage, "factor.added")] == ["refused"] * 3
    assert await identity.passkeys.listed(payer.principal.user_id) == []


async def test_a_passkey_has_one_user(
    identity: IdentityService, payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await payer.add()
    other = await payer_of(identity, OTHER_EMAIL)
    monkeypatch.setattr(payer.device.soft, "cred_init", lambda *_: None)
    for somebody in (payer, other):
        with pytest.raises(PasskeyKnown):
            await somebody.add(payer.device)


async def test_there_are_as_many_passkeys_as_devices(payer: Payer, storage: Storage) -> None:
    await payer.add()
    (passkey,) = await storage.documents(Passkey).page({}, limit=10)
    for number in range(PASSKEYS_MAX - 2):
        await storage.documents(Passkey).insert(_another(passkey, number))
    late = await payer.identity.passkeys.creation_options(payer.principal)
    await payer.add(SoftDevice())
    with pytest.raises(TooManyPasskeys):
        await payer.add(SoftDevice())
    made = SoftDevice().make(late.public_key)
    with pytest.raises(TooManyPasskeys):
        await payer.identity.passkeys.add(payer.principal, made, name="Late", client=None)


def _another(passkey: Passkey, number: int) -> Passkey:
    fields = {name: getattr(passkey, name) for name in passkey.__struct_fields__}
    return Passkey(**{**fields, "id": f"{passkey.id}{number}", "version": 1})


async def test_a_passkey_is_renamed_and_removed_by_its_owner_only(
    identity: IdentityService, payer: Payer, storage: Storage
) -> None:
    added = await payer.add()
    other = await payer_of(identity, OTHER_EMAIL)
    passkeys = identity.passkeys
    renamed = await passkeys.rename(payer.principal, added.passkey.id, name="Old one")
    assert renamed.name == "Old one"
    for passkey_id in (added.passkey.id, "passkey_none"):
        with pytest.raises(NotFound):
            await passkeys.rename(other.principal, passkey_id, name="Mine")
        with pytest.raises(NotFound):
            await passkeys.remove(other.principal, passkey_id, client=CLIENT)
    another = await payer.come_back()
    await passkeys.remove(payer.principal, added.passkey.id, client=CLIENT)
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(another.refresh_token)
    await identity.refresh(payer.sign_in.refresh_token)
    with pytest.raises(PasskeyRefused):
        await payer.come_back()
    # With the last factor the recovery codes are gone: the password alone is enough again.
    await identity.login(email=EMAIL, password=PASSWORD)
    told = [each.template for each in await letters(storage, EMAIL)]
    assert told.count("factor_removed") == 1


async def test_the_last_way_in_stays(payer: Payer, storage: Storage) -> None:
    first = await payer.add()
    second = await payer.add(SoftDevice())
    await _without_address(payer, storage)
    outcomes = await asyncio.gather(
        *(
            _outcome(payer.identity.passkeys.remove(payer.principal, each, client=None))
            for each in (first.passkey.id, second.passkey.id)
        )
    )
    # At once, they do not count on each other.
    assert outcomes.count("removed") == 1
    (left,) = await payer.identity.passkeys.listed(payer.principal.user_id)
    with pytest.raises(PasskeyLastWayIn):
        await payer.identity.passkeys.remove(payer.principal, left.id, client=None)


async def _outcome(removal: Any) -> str:
    try:
        await removal
    except (PasskeyLastWayIn, Unavailable):
        return "refused"
    return "removed"


async def _without_address(payer: Payer, storage: Storage) -> None:
    """Leave the user nothing that a code could be sent to, as other companies' users may be."""
    user = await storage.documents(User).get(payer.principal.user_id)
    assert user is not None
    fields = {name: getattr(user, name) for name in user.__struct_fields__}
    await storage.documents(User).replace(User(**{**fields, "email": None, "email_key": None}))


async def test_a_passkey_that_is_removed_while_it_signs_in_opens_nothing(
    payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = await payer.add()
    proofs, count = payer.identity.passkey_proofs, payer.identity.passkey_proofs._count

    async def removed_first(*given: Any) -> None:
        await payer.identity.passkeys.remove(payer.principal, added.passkey.id, client=None)
        await count(*given)

    async def removed_afterwards(*given: Any) -> None:
        await count(*given)
        await payer.identity.passkeys.remove(payer.principal, added.passkey.id, client=None)

    monkeypatch.setattr(proofs, "_count", removed_first)
    with pytest.raises(PasskeyRefused):
        await payer.come_back()
    monkeypatch.setattr(proofs, "_count", removed_afterwards)
    added = await payer.add(payer.device)
    with pytest.raises(PasskeyRefused):
        await payer.come_back()


async def test_failures_slow_strangers_and_not_the_owner(payer: Payer, storage: Storage) -> None:
    await payer.add()
    refusals: list[type[GuilderError]] = []
    for _ in range(14):
        try:
            await payer.come_back(flags=PRESENT)
        except GuilderError as error:
            refusals.append(type(error))
    assert refusals[:10] == [PasskeyRefused] * 10
    assert refusals[-1] is TooManyAttempts
    found = await events(storage, "sign_in.refused")
    assert len(found) == refusals.count(PasskeyRefused)
    assert {each.details["because"] for each in found} == {"answer"}
    assert {each.subject for each in found} == {payer.sign_in.user.id}
    await payer.come_back()
