"""ASVS 8.3.2: a change of role is in force at once here, and within a second in other processes."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from guilder.audit.trail import AuditTrail, Search
from guilder.identity.errors import Unauthenticated
from guilder.identity.models import User
from guilder.identity.revocations import Revocations
from guilder.identity.role_changes import RoleChanges
from guilder.identity.roles import Role
from guilder.identity.service import IdentityService
from guilder.identity.sessions import SignIn
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import UserId, new_id
from guilder.storage.base import Storage
from tests.support.identity import PASSWORD, HandClock, application, identity_service

EMAIL = "payer@example.com"


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    async with identity_service(storage, clock) as service:
        await service.register(application(email=EMAIL))
        yield service


@pytest.fixture
def changes(storage: Storage, clock: HandClock) -> RoleChanges:
    return RoleChanges(storage, clock=clock, audit=AuditTrail(storage, clock=clock))


async def user_of(identity: IdentityService) -> User:
    user = await identity.find_by_email(EMAIL)
    assert user is not None
    return user


async def signed_in(identity: IdentityService) -> SignIn:
    return await identity.login(email=EMAIL, password=PASSWORD)


def is_refused(identity: IdentityService, token: str) -> bool:
    try:
        identity.principal(token)
    except Unauthenticated:
        return True
    return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def test_asvs_8_3_2_what_was_made_of_the_old_role_is_refused_and_a_refresh_has_the_new_one(
    identity: IdentityService, changes: RoleChanges
) -> None:
    sign_in = await signed_in(identity)
    assert identity.principal(sign_in.access_token).role is Role.USER
    user = await changes.set((await user_of(identity)).user_id, Role.SUPPORT, actor="system")
    identity.rights_changed(user)
    assert is_refused(identity, sign_in.access_token)
    fresh = await identity.refresh(sign_in.refresh_token)
    assert identity.principal(fresh.access_token).role is Role.SUPPORT


async def test_asvs_8_3_2_another_process_follows_by_itself_also_in_the_same_moment(
    identity: IdentityService, changes: RoleChanges, storage: Storage, clock: HandClock
) -> None:
    async with identity_service(storage, clock) as other:
        user_id = (await user_of(identity)).user_id
        sign_in = await signed_in(identity)
        for role in (Role.OPERATOR, Role.USER, Role.AUDITOR):
            # The clock stands still: neither the old nor the new token is older than the change.
            old = sign_in.access_token
            identity.rights_changed(await changes.set(user_id, role, actor="system"))
            await until(lambda old=old: is_refused(other, old))  # type: ignore[misc]
            clock.move(seconds=11)
            sign_in = await identity.refresh(sign_in.refresh_token)
            for each in (identity, other):
                assert each.principal(sign_in.access_token).role is role


async def test_a_process_that_starts_knows_of_changes_that_tokens_may_still_deny(
    identity: IdentityService, changes: RoleChanges, storage: Storage, clock: HandClock
) -> None:
    sign_in = await signed_in(identity)
    await changes.set((await user_of(identity)).user_id, Role.SUPPORT, actor="system")
    clock.move(seconds=60)
    async with identity_service(storage, clock) as other:
        assert is_refused(other, sign_in.access_token)


async def test_a_change_is_forgotten_when_no_token_can_be_older(
    identity: IdentityService, changes: RoleChanges, storage: Storage, clock: HandClock
) -> None:
    user = await changes.set((await user_of(identity)).user_id, Role.SUPPORT, actor="system")
    revocations = Revocations(storage=storage, clock=clock, access_ttl_s=900, poll_s=1, stale_s=10)
    await revocations.look()
    assert revocations.is_outdated(user.user_id, 0)
    assert not revocations.is_outdated(user.user_id, 1)
    revocations.change(user)
    clock.move(hours=1)
    await revocations.look()
    assert not revocations.is_outdated(user.user_id, 0)


async def test_every_change_is_recorded_once_and_the_same_role_again_is_none(
    identity: IdentityService, changes: RoleChanges, storage: Storage
) -> None:
    user_id = (await user_of(identity)).user_id
    await asyncio.gather(
        *(changes.set(user_id, role, actor="system") for role in (Role.SUPPORT, Role.AUDITOR) * 4)
    )
    latest = await user_of(identity)
    assert await changes.set(user_id, latest.role, actor="system") == latest
    trail = AuditTrail(storage, clock=HandClock())
    entries = await trail.search(Search(subject=user_id, action="role.changed"))
    found = [each.event for each in entries]
    steps = [(each.details["from"], each.details["to"]) for each in found]
    assert len(steps) == latest.rights_version
    assert all(before != after for before, after in steps)
    assert {each.subject for each in found} == {user_id}


async def test_nobody_is_given_a_role_who_is_not_there(
    identity: IdentityService, changes: RoleChanges
) -> None:
    with pytest.raises(NotFound):
        await changes.set(UserId(new_id("user")), Role.OPERATOR, actor="system")
