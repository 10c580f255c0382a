"""ASVS 6.3.3 and 7.3.2 for staff: what opens a session that rights over others count in, and when
it ends. Every route is asked by the authorization matrix.
"""

from datetime import timedelta

import pytest

from guilder.audit.trail import AuditTrail
from guilder.identity.authentication import Principal
from guilder.identity.challenges import Given
from guilder.identity.devices import Device
from guilder.identity.errors import RefreshTokenInvalid, SignedInWithoutSecondFactor
from guilder.identity.factors.errors import SecondFactorRequired
from guilder.identity.factors.rules import Method
from guilder.identity.models import User
from guilder.identity.role_changes import RoleChanges
from guilder.identity.roles import Permission, Role
from guilder.identity.service import IdentityService
from guilder.identity.sessions import SignIn
from guilder.kernel.ids import UserId
from guilder.storage.base import Storage
from tests.support.factors import App, answered, asked, with_app
from tests.support.identity import PASSWORD, HandClock, application, identity_service
from tests.support.one_user import EMAIL
from tests.support.passkeys import SoftDevice

TWELVE_HOURS_S = 12 * 3600


async def by_password(identity: IdentityService) -> SignIn:
    return await identity.login(email=EMAIL, password=PASSWORD)


async def by_app(identity: IdentityService, app: App, *, remember: bool = False) -> SignIn:
    challenge = await asked(identity, EMAIL)
    return await answered(identity, challenge, app.given(), remember=remember)


async def given_role(
    identity: IdentityService, storage: Storage, clock: HandClock, role: Role
) -> User:
    user = await identity.find_by_email(EMAIL)
    assert user is not None
    changes = RoleChanges(storage, clock=clock, audit=AuditTrail(storage, clock=clock))
    changed = await changes.set(UserId(user.id), role, actor="system")
    identity.rights_changed(changed)
    return changed


async def with_passkey(identity: IdentityService, principal: Principal, device: SoftDevice) -> str:
    """Make a passkey on a device; return its id."""
    options = await identity.passkeys.creation_options(principal)
    made = device.make(options.public_key)
    added = await identity.passkeys.add(principal, made, name="Telephone", client=None)
    return added.passkey.id


def principal_of(identity: IdentityService, sign_in: SignIn) -> Principal:
    return identity.principal(sign_in.access_token)


def sees_others(identity: IdentityService, sign_in: SignIn) -> bool:
    """Tell whether a session is good for what staff do; its user is one of them."""
    principal = principal_of(identity, sign_in)
    principal.check(Permission.SECURITY_WRITE)
    try:
        principal.check(Permission.ROLES_WRITE)
    except SignedInWithoutSecondFactor:
        return False
    return True


async def test_asvs_6_3_3_a_password_opens_no_session_of_staff_and_each_second_factor_does(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    await given_role(identity, storage, clock, Role.OPERATOR)
    alone = await by_password(identity)
    assert not sees_others(identity, alone)
    app = await with_app(identity, principal_of(identity, alone), clock)
    # The session that sets a factor up was opened without it.
    alone = await identity.refresh(alone.refresh_token)
    assert not sees_others(identity, alone)
    signed_in = await by_app(identity, app)
    assert sees_others(identity, signed_in)
    spare = Given(method=Method.RECOVERY_CODE, code=app.recovery_codes[0])
    assert sees_others(identity, await answered(identity, await asked(identity, EMAIL), spare))
    refreshed = await identity.refresh(signed_in.refresh_token)
    async with identity_service(storage, clock) as elsewhere:
        assert sees_others(elsewhere, signed_in)
        assert not sees_others(elsewhere, alone)
        clock.move(seconds=11)
        assert sees_others(identity, await elsewhere.refresh(refreshed.refresh_token))


async def test_asvs_6_3_3_a_passkey_alone_is_two_factors(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    await given_role(identity, storage, clock, Role.OPERATOR)
    principal, device = principal_of(identity, await by_password(identity)), SoftDevice()
    passkey_id = await with_passkey(identity, principal, device)
    asked_for = await identity.passkey_proofs.sign_in_options()
    shown = device.show(asked_for.public_key)
    signed_in = await identity.passkey_proofs.sign_in(shown, client=None)
    assert sees_others(identity, signed_in)
    # With the last factor gone, the session that removed it is one without.
    by = principal_of(identity, signed_in)
    await identity.passkeys.remove(by, passkey_id, client=None)
    assert not sees_others(identity, await identity.refresh(signed_in.refresh_token))


async def test_asvs_6_3_3_a_removed_app_counts_no_more_and_one_of_two_factors_may_go(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    await given_role(identity, storage, clock, Role.OPERATOR)
    app = await with_app(identity, principal_of(identity, await by_password(identity)), clock)
    signed_in = await by_app(identity, app)
    by = principal_of(identity, signed_in)
    passkey_id = await with_passkey(identity, by, SoftDevice())
    await identity.passkeys.remove(by, passkey_id, client=None)
    signed_in = await identity.refresh(signed_in.refresh_token)
    assert sees_others(identity, signed_in)
    await identity.factors.remove_totp(by, client=None)
    clock.move(seconds=11)
    signed_in = await identity.refresh(signed_in.refresh_token)
    assert not sees_others(identity, signed_in)


async def test_asvs_6_3_3_a_trusted_device_is_no_factor_of_staff(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    app = await with_app(identity, principal_of(identity, await by_password(identity)), clock)
    token = (await by_app(identity, app, remember=True)).device_token
    trusted = Device(tokens=(token or "",))
    spared = await identity.login(email=EMAIL, password=PASSWORD, device=trusted)
    await given_role(identity, storage, clock, Role.OPERATOR)
    assert not sees_others(identity, await identity.refresh(spared.refresh_token))
    with pytest.raises(SecondFactorRequired):
        await identity.login(email=EMAIL, password=PASSWORD, device=trusted)


async def test_asvs_7_3_2_sessions_of_staff_end_after_twelve_hours(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    user = await given_role(identity, storage, clock, Role.SUPPORT)
    signed_in = await by_password(identity)
    assert signed_in.refresh_expires_in_s == TWELVE_HOURS_S
    for _ in range(23):
        clock.move(minutes=30)
        signed_in = await identity.refresh(signed_in.refresh_token)
    clock.move(minutes=25)
    signed_in = await identity.refresh(signed_in.refresh_token)
    assert (signed_in.refresh_expires_in_s, signed_in.expires_in_s) == (300, 300)
    clock.move(minutes=5)
    assert await identity.own_sessions.page(user, after=None, limit=9) == []
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(signed_in.refresh_token)


async def test_asvs_7_3_2_a_session_from_before_the_role_is_not_longer(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    old, young = await by_password(identity), await by_password(identity)
    assert young.refresh_expires_in_s == 24 * 3600
    clock.move(hours=11)
    user = await given_role(identity, storage, clock, Role.AUDITOR)
    listed = await identity.own_sessions.page(user, after=None, limit=9)
    assert {each.expires_at for each in listed} == {clock() + timedelta(hours=1)}
    young = await identity.refresh(young.refresh_token)
    assert young.refresh_expires_in_s == 3600
    clock.move(hours=1)
    assert await identity.own_sessions.page(user, after=None, limit=9) == []
    for each in (old, young):
        with pytest.raises(RefreshTokenInvalid):
            await identity.refresh(each.refresh_token)


async def test_a_deployment_may_ask_staff_for_no_factor_and_have_them_sign_in_more_often(
    storage: Storage, clock: HandClock
) -> None:
    async with identity_service(
        storage, clock, staff_second_factor_required=False, staff_session_ttl_s=3600
    ) as identity:
        await identity.register(application(email=EMAIL))
        await given_role(identity, storage, clock, Role.OPERATOR)
        signed_in = await by_password(identity)
        assert sees_others(identity, signed_in)
        assert signed_in.refresh_expires_in_s == 3600
