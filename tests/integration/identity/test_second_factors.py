"""Second factors on real databases: set up, asked for, used once, removed; and trusted devices."""

import asyncio

import pytest

from guilder.identity.authentication import Principal
from guilder.identity.challenges import Given
from guilder.identity.devices import Device
from guilder.identity.errors import RefreshTokenInvalid, Unauthenticated
from guilder.identity.factors.errors import (
    ChallengeEnded,
    FactorExists,
    FactorMissing,
    FactorWrong,
)
from guilder.identity.factors.models import Challenge, TotpFactor, TrustedDevice
from guilder.identity.factors.rules import Method
from guilder.identity.housekeeping import Housekeeping
from guilder.identity.service import IdentityService
from guilder.kernel.errors import GuilderError, NotFound
from guilder.storage.base import Storage
from tests.support.factors import App, answered, asked, principal_of, with_app
from tests.support.identity import PASSWORD, HandClock, application
from tests.support.letters import latest, letters
from tests.support.one_user import EMAIL

LAPTOP = Device("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0")


@pytest.fixture
async def payer(identity: IdentityService) -> Principal:
    return await principal_of(identity, EMAIL)


@pytest.fixture
async def app(identity: IdentityService, payer: Principal, clock: HandClock) -> App:
    return await with_app(identity, payer, clock)


async def test_an_app_counts_once_it_is_confirmed(
    identity: IdentityService, payer: Principal, storage: Storage, clock: HandClock
) -> None:
    made = await identity.factors.enrol_totp(payer, client=None)
    await identity.login(email=EMAIL, password=PASSWORD)
    app = App(made.secret, clock)
    with pytest.raises(FactorWrong):
        await identity.factors.confirm_totp(payer, "000000x", client=None)
    other = await identity.login(email=EMAIL, password=PASSWORD)
    codes = await identity.factors.confirm_totp(payer, app.next, client=None)
    assert len(set(codes)) == 10
    stored = await storage.documents(TotpFactor).get(payer.user_id)
    assert stored is not None
    assert made.secret not in stored.secret
    assert (await latest(storage, EMAIL, "factor_added"))["factor"] == "authenticator app"
    # The session that did it goes on; every other ends.
    await identity.factors.overview(payer)
    with pytest.raises(Unauthenticated):
        identity.principal(other.access_token)
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(other.refresh_token)
    with pytest.raises(FactorExists):
        await identity.factors.enrol_totp(payer, client=None)


async def test_signing_in_asks_for_the_code_and_takes_it_once(
    identity: IdentityService, app: App
) -> None:
    challenge = await asked(identity, EMAIL)
    code = app.given()
    sign_in = await answered(identity, challenge, code)
    assert identity.principal(sign_in.access_token).user_id == sign_in.user.id
    with pytest.raises(ChallengeEnded):
        await answered(identity, challenge, code)
    again = await asked(identity, EMAIL)
    with pytest.raises(FactorWrong):
        await answered(identity, again, code)
    await answered(identity, again, app.given())


async def test_asvs_6_3_6_every_way_in_asks(
    identity: IdentityService, app: App, storage: Storage
) -> None:
    contact = identity.contact(email=EMAIL, phone=None)
    await identity.code_sign_in.request(contact, client=None)
    code = (await latest(storage, EMAIL, "sign_in_code"))["code"]
    with pytest.raises(GuilderError) as refused:
        await identity.code_sign_in.redeem(contact, code, password=PASSWORD, client=None)
    assert refused.value.code == "second_factor_required"
    # A new password is no way around it either.
    await identity.recovery.request(contact, client=None)
    link = (await latest(storage, EMAIL, "password_reset"))["code"]
    await identity.recovery.complete(link, "seven other unlikely words", client=None)
    with pytest.raises(GuilderError) as refused:
        await identity.login(email=EMAIL, password="seven other unlikely words")
    assert refused.value.code == "second_factor_required"


async def test_a_challenge_ends_with_time_and_with_the_password(
    identity: IdentityService, app: App, storage: Storage, clock: HandClock
) -> None:
    old = await asked(identity, EMAIL)
    clock.move(minutes=10)
    with pytest.raises(ChallengeEnded):
        await answered(identity, old, app.given())
    before = await asked(identity, EMAIL)
    contact = identity.contact(email=EMAIL, phone=None)
    await identity.recovery.request(contact, client=None)
    link = (await latest(storage, EMAIL, "password_reset"))["code"]
    await identity.recovery.complete(link, "seven other unlikely words", client=None)
    with pytest.raises(ChallengeEnded):
        await answered(identity, before, app.given())
    for nonsense in ("challenge_01h455vb4pex5vsknk084sn02q", "none of ours", ""):
        with pytest.raises(ChallengeEnded):
            await answered(identity, nonsense, app.given())


async def test_recovery_codes_are_good_once_each_and_told_of(
    identity: IdentityService, app: App, storage: Storage
) -> None:
    challenge = await asked(identity, EMAIL)
    code = app.recovery_codes[0]
    given = Given(method=Method.RECOVERY_CODE, code=f" {code.upper()} ")
    sign_in = await answered(identity, challenge, given)
    assert (await latest(storage, EMAIL, "recovery_codes_used"))["left"] == "9"
    again = await asked(identity, EMAIL)
    with pytest.raises(FactorWrong):
        await answered(identity, again, given)
    mine = identity.principal(sign_in.access_token)
    assert (await identity.factors.overview(mine)).recovery_codes_left == 9
    fresh = await identity.factors.new_recovery_codes(mine, client=None)
    assert (await identity.factors.overview(mine)).recovery_codes_left == 10
    old = Given(method=Method.RECOVERY_CODE, code=app.recovery_codes[1])
    with pytest.raises(FactorWrong):
        await answered(identity, again, old)
    await answered(identity, again, Given(method=Method.RECOVERY_CODE, code=fresh[9]))


async def test_one_recovery_code_at_once_in_many_challenges_opens_one_session(
    identity: IdentityService, app: App, storage: Storage
) -> None:
    challenges = [await asked(identity, EMAIL) for _ in range(4)]
    given = Given(method=Method.RECOVERY_CODE, code=app.recovery_codes[0])
    results = await asyncio.gather(
        *(answered(identity, each, given) for each in challenges), return_exceptions=True
    )
    failures = [each for each in results if isinstance(each, GuilderError)]
    assert len(failures) == 3, results
    told = [each for each in await letters(storage, EMAIL) if "recovery" in each.template]
    assert len(told) == 1


async def test_removing_the_app_ends_codes_and_devices(
    identity: IdentityService, payer: Principal, app: App, storage: Storage
) -> None:
    await identity.factors.remove_totp(payer, client=None)
    assert (await latest(storage, EMAIL, "factor_removed"))["factor"] == "authenticator app"
    overview = await identity.factors.overview(payer)
    assert (overview.methods, overview.recovery_codes_left) == ((), 0)
    await identity.login(email=EMAIL, password=PASSWORD)
    with pytest.raises(FactorMissing):
        await identity.factors.new_recovery_codes(payer, client=None)
    with pytest.raises(NotFound):
        await identity.factors.remove_totp(payer, client=None)


async def test_a_trusted_device_is_not_asked_until_it_is_forgotten(
    identity: IdentityService, app: App, clock: HandClock
) -> None:
    challenge = await asked(identity, EMAIL, device=LAPTOP)
    sign_in = await answered(identity, challenge, app.given(), remember=True, device=LAPTOP)
    assert sign_in.device_token is not None
    known = Device(LAPTOP.user_agent, (sign_in.device_token,))
    again = await identity.login(email=EMAIL, password=PASSWORD, device=known)
    mine = identity.principal(again.access_token)
    (device,) = (await identity.factors.overview(mine)).devices
    assert device.device == "Firefox on Linux"
    await identity.register(application(email="other@example.com"))
    stranger = await principal_of(identity, "other@example.com")
    with pytest.raises(NotFound):
        await identity.factors.forget_device(stranger, device.id, client=None)
    await identity.factors.forget_device(mine, device.id, client=None)
    challenge = await asked(identity, EMAIL, device=known)
    await answered(identity, challenge, app.given(), remember=True, device=known)
    await identity.login(email=EMAIL, password=PASSWORD, device=known)
    clock.move(days=30)
    assert await asked(identity, EMAIL, device=known)


async def test_a_device_is_trusted_only_where_it_was_wanted_by_its_own_user_and_password(
    identity: IdentityService, app: App, clock: HandClock, storage: Storage
) -> None:
    challenge = await asked(identity, EMAIL)
    untrusted = await answered(identity, challenge, app.given())
    assert untrusted.device_token is not None
    assert await asked(identity, EMAIL, device=Device("", (untrusted.device_token,)))
    challenge = await asked(identity, EMAIL)
    trusted = await answered(identity, challenge, app.given(), remember=True)
    assert trusted.device_token is not None
    known = Device("", (trusted.device_token,))
    await identity.register(application(email="other@example.com"))
    other = await principal_of(identity, "other@example.com")
    await with_app(identity, other, clock)
    assert await asked(identity, "other@example.com", device=known)
    await identity.recovery.change(
        identity.principal(trusted.access_token),
        current=PASSWORD,
        new=PASSWORD + " again",
        client=None,
    )
    with pytest.raises(GuilderError) as refused:
        await identity.login(email=EMAIL, password=PASSWORD + " again", device=known)
    assert refused.value.code == "second_factor_required"


async def test_what_is_over_is_swept(
    identity: IdentityService, app: App, storage: Storage, clock: HandClock
) -> None:
    challenge = await asked(identity, EMAIL)
    await answered(identity, challenge, app.given(), remember=True)
    sweep = Housekeeping(storage=storage, clock=clock).sweep
    await sweep()
    assert await storage.documents(Challenge).get(challenge) is not None
    clock.move(days=31)
    await sweep()
    assert await storage.documents(Challenge).get(challenge) is None
    assert await storage.documents(TrustedDevice).page({}, limit=1) == []
