"""Sessions as their users see them: where they are signed in, from which device, how it ends."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from guilder.audit.trail import AuditTrail, Search
from guilder.identity.devices import KEPT_FOR, Device
from guilder.identity.errors import RefreshTokenInvalid, RefreshTokenReused, TooManyAttempts
from guilder.identity.housekeeping import Housekeeping
from guilder.identity.models import KnownDevice, Session, User
from guilder.identity.service import IdentityService
from guilder.identity.sessions import SignIn
from guilder.identity.throttle_rules import ThrottlePolicy
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import SessionId
from guilder.storage.base import Storage
from tests.support.identity import PASSWORD, HandClock, application, identity_service
from tests.support.letters import letters

EMAIL = "payer@example.com"
FIREFOX = Device("Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/132.0")
CHROME = Device("Mozilla/5.0 (Linux; Android 15) Chrome/130.0 Mobile Safari/537.36")
HERE, THERE = "203.0.113.77", "2001:db8:1:2::/64"


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    async with identity_service(storage, clock) as service:
        await service.register(application(email=EMAIL))
        yield service


async def signed_in(
    identity: IdentityService, device: Device = FIREFOX, client: str | None = HERE
) -> SignIn:
    return await identity.login(email=EMAIL, password=PASSWORD, device=device, client=client)


async def user_of(identity: IdentityService) -> User:
    user = await identity.find_by_email(EMAIL)
    assert user
    return user


async def listed(identity: IdentityService) -> list[Session]:
    return await identity.own_sessions.page(await user_of(identity), after=None, limit=100)


def session_of(identity: IdentityService, sign_in: SignIn) -> SessionId:
    found = identity.sessions.session_of(sign_in.refresh_token)
    assert found
    return found


def with_token(device: Device, sign_in: SignIn) -> Device:
    assert sign_in.device_token
    return Device(device.user_agent, (sign_in.device_token,))


async def told(storage: Storage, template: str) -> list[dict[str, str]]:
    return [each.values for each in await letters(storage, EMAIL) if each.template == template]


async def test_lists_device_place_and_last_use(identity: IdentityService, clock: HandClock) -> None:
    first = await signed_in(identity)
    clock.move(minutes=5)
    second = await signed_in(identity, CHROME, THERE)
    clock.move(minutes=5)
    await identity.refresh(first.refresh_token, device=CHROME, client=THERE)
    found = await listed(identity)
    assert [each.id for each in found] == [session_of(identity, each) for each in (second, first)]
    assert [each.device for each in found] == ["Chrome on Android", "Chrome on Android"]
    assert {identity.own_sessions.place_of(each) for each in found} == {"2001:db8:1::/48"}
    assert [clock() - each.rotated_at for each in found] == [timedelta(minutes=5), timedelta()]


async def test_neither_agent_nor_address_is_stored(
    identity: IdentityService, storage: Storage
) -> None:
    await signed_in(identity)
    (session,) = await listed(identity)
    assert "Gecko" not in repr(session)
    assert "203.0.113" not in repr(session)
    assert identity.own_sessions.place_of(session) == "203.0.113.0/24"
    (known,) = await storage.documents(KnownDevice).page({}, limit=10)
    assert "Firefox" not in repr(known)


async def test_goes_on_after_a_page(identity: IdentityService, clock: HandClock) -> None:
    for _ in range(5):
        await signed_in(identity)
        clock.move(seconds=1)
    user = await user_of(identity)
    everything = await listed(identity)
    first = await identity.own_sessions.page(user, after=None, limit=2)
    after = (first[-1].created_at, first[-1].id)
    rest = await identity.own_sessions.page(user, after=after, limit=10)
    assert [*first, *rest] == everything
    assert len(everything) == 5


async def test_lists_what_is_not_over_only(
    storage: Storage, clock: HandClock, identity: IdentityService
) -> None:
    async with identity_service(storage, clock, session_idle_s=3600) as short:
        ended, idle, live = [await signed_in(short) for _ in range(3)]
        await short.logout(ended.refresh_token)
        clock.move(minutes=59, seconds=59)
        live = await short.refresh(live.refresh_token)
        clock.move(seconds=1)
        assert [each.id for each in await listed(short)] == [session_of(short, live)]
        with pytest.raises(RefreshTokenInvalid):
            await short.refresh(idle.refresh_token)


async def test_ends_one_of_ones_own_only(identity: IdentityService) -> None:
    first, second = await signed_in(identity), await signed_in(identity)
    stranger = await identity.register(application(email="stranger@example.com"))
    user = await user_of(identity)
    mine = session_of(identity, first)
    for wrong in (mine, SessionId("session_01h455vb4pex5vsknk084sn02q")):
        with pytest.raises(NotFound):
            await identity.own_sessions.end_one(stranger.record.id, wrong)
    await identity.own_sessions.end_one(user.user_id, mine)
    await identity.own_sessions.end_one(user.user_id, mine)
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(first.refresh_token)
    await identity.refresh(second.refresh_token)


@pytest.mark.parametrize("is_all", [True, False])
async def test_ends_all_but_one_or_all(identity: IdentityService, is_all: bool) -> None:
    *others, mine = [await signed_in(identity) for _ in range(3)]
    user = await user_of(identity)
    kept = session_of(identity, mine)
    await identity.own_sessions.end_others(user.user_id, but=None if is_all else kept, client=HERE)
    for each in others:
        with pytest.raises(RefreshTokenInvalid):
            await identity.refresh(each.refresh_token)
    assert [each.id for each in await listed(identity)] == ([] if is_all else [kept])


async def test_every_event_has_the_address(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    seen: list[str | None] = []

    async def note(_: AuditTrail, action: str, *, address: str | None = None, **__: object) -> None:
        seen.append(f"{action} {address}")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(AuditTrail, "record", note)
        sign_in = await signed_in(identity)
        await identity.refresh(sign_in.refresh_token, client=HERE)
        clock.move(minutes=1)
        with pytest.raises(RefreshTokenReused):
            await identity.refresh(sign_in.refresh_token, client=HERE)
        await identity.logout((await signed_in(identity)).refresh_token, client=HERE)
        await identity.register(application(), client=HERE)
        with pytest.raises(Exception, match="do not match"):
            await identity.login(email=EMAIL, password="wrong words", client=HERE)
    assert len(seen) >= 6
    assert all(str(each).endswith(HERE) for each in seen), seen


async def test_reuse_tells_the_user_from_where(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    first = await signed_in(identity)
    await identity.refresh(first.refresh_token, device=FIREFOX, client=HERE)
    clock.move(minutes=1)
    for _ in range(2):
        with pytest.raises((RefreshTokenReused, RefreshTokenInvalid)):
            await identity.refresh(first.refresh_token, device=CHROME, client=THERE)
    (values,) = await told(storage, "session_reuse")
    assert (values["device"], values["place"]) == ("Chrome on Android", "2001:db8:1::/48")
    events = await AuditTrail(storage, clock=clock).search(Search(action="refresh_token.reused"))
    assert [each.event.subject for each in events] == [first.user.id]


async def test_asvs_6_3_5_a_new_device_is_told_once(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    first = await signed_in(identity)
    assert await told(storage, "new_device") == []  # Who has just registered knows.
    again = await signed_in(identity, with_token(FIREFOX, first), THERE)
    assert again.device_token == first.device_token
    assert await told(storage, "new_device") == []
    thief = await signed_in(identity, CHROME, THERE)
    (values,) = await told(storage, "new_device")
    assert (values["device"], values["place"]) == ("Chrome on Android", "2001:db8:1::/48")
    assert thief.device_token not in (None, first.device_token)
    clock.move(days=1)
    await signed_in(identity, with_token(FIREFOX, first))
    assert len(await told(storage, "new_device")) == 1


async def test_the_first_sign_in_long_after_registering_is_told(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    clock.move(days=1)
    await signed_in(identity)
    assert len(await told(storage, "new_device")) == 1


async def test_a_token_is_good_for_its_user_only(
    identity: IdentityService, storage: Storage
) -> None:
    await identity.register(application(email="other@example.com"))
    await signed_in(identity)
    other = await identity.login(email="other@example.com", password=PASSWORD, device=CHROME)
    await signed_in(identity, with_token(CHROME, other))
    assert len(await told(storage, "new_device")) == 1


async def test_a_used_device_is_kept_and_an_unused_one_forgotten(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    first = await signed_in(identity)
    clock.move(days=60)
    await signed_in(identity, with_token(FIREFOX, first))
    clock.move(days=60)
    await Housekeeping(storage=storage, clock=clock).sweep()
    assert (await signed_in(identity, with_token(FIREFOX, first))).device_token == (
        first.device_token
    )
    clock.now += KEPT_FOR + timedelta(milliseconds=1)
    assert (await signed_in(identity, with_token(FIREFOX, first))).device_token != (
        first.device_token
    )
    await Housekeeping(storage=storage, clock=clock).sweep()
    assert len(await storage.documents(KnownDevice).page({}, limit=10)) == 1


async def test_a_change_of_credentials_makes_devices_new(
    identity: IdentityService, storage: Storage
) -> None:
    first = await signed_in(identity)
    principal = identity.principal(first.access_token)
    await identity.recovery.change(
        principal, current=PASSWORD, new="seven green kettles sing", client=None
    )
    later = await identity.login(
        email=EMAIL, password="seven green kettles sing", device=with_token(FIREFOX, first)
    )
    assert later.device_token != first.device_token
    assert len(await told(storage, "new_device")) == 1


async def test_strangers_do_not_delay_who_comes_from_a_known_device(
    storage: Storage, clock: HandClock
) -> None:
    impatient = ThrottlePolicy(free=2)
    async with identity_service(storage, clock, throttles=impatient) as identity:
        await identity.register(application(email=EMAIL))
        first = await signed_in(identity)
        clock.move(hours=1)
        for number in range(3):
            with pytest.raises(Exception, match=r"do not match|Wait"):
                await identity.login(email=EMAIL, password="wrong", client=f"198.51.100.{number}")
        with pytest.raises(TooManyAttempts):
            await signed_in(identity, client=THERE)
        await signed_in(identity, with_token(FIREFOX, first), THERE)
