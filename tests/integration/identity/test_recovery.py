"""New passwords on real databases: by mail, by the old one, and what ends with the old one."""

import pytest

from guilder.audit.models import AuditEvent
from guilder.identity.errors import (
    InvalidCredentials,
    LinkInvalid,
    PasswordWrong,
    RefreshTokenInvalid,
    RefreshTokenReused,
    TooManyAttempts,
    Unauthenticated,
)
from guilder.identity.models import Session
from guilder.identity.service import IdentityService
from guilder.identity.sessions import Sessions
from guilder.kernel.errors import InvalidRequest
from guilder.kernel.ids import UserId
from guilder.storage.base import Storage
from tests.support.audit import everything
from tests.support.identity import PASSWORD, HandClock, application, identity_service
from tests.support.letters import latest, letters
from tests.support.one_user import EMAIL

NEW = "seven other unlikely words"


async def asked(identity: IdentityService, storage: Storage) -> str:
    """Ask for a mail and read its token."""
    await identity.recovery.request(identity.contact(email=EMAIL, phone=None), client=None)
    return (await latest(storage, EMAIL, "password_reset"))["code"]


async def recorded(storage: Storage, action: str) -> list[AuditEvent]:
    return [each for each in await everything(storage, AuditEvent) if each.action == action]


async def test_a_mail_sets_a_new_password_and_ends_every_session(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    sessions = [await identity.login(email=EMAIL, password=PASSWORD) for _ in range(3)]
    token = await asked(identity, storage)
    clock.move(seconds=1)
    await identity.recovery.complete(token, NEW, client=None)
    for session in sessions:
        with pytest.raises(Unauthenticated):
            identity.principal(session.access_token)
        with pytest.raises(RefreshTokenInvalid):
            await identity.refresh(session.refresh_token)
    with pytest.raises(InvalidCredentials):
        await identity.login(email=EMAIL, password=PASSWORD)
    assert (await identity.login(email=EMAIL, password=NEW)).user.email_verified
    assert "password_changed" in [each.template for each in await letters(storage, EMAIL)]
    assert [each.details for each in await recorded(storage, "password.changed")] == [
        {"because": "recovery"}
    ]


async def test_a_token_works_once_and_takes_the_others_with_it(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    tokens = [await asked(identity, storage)]
    clock.move(seconds=1)
    tokens.append(await asked(identity, storage))
    await identity.recovery.complete(tokens[0], NEW, client=None)
    for token in tokens:
        with pytest.raises(LinkInvalid):
            await identity.recovery.complete(token, PASSWORD, client=None)
    await identity.login(email=EMAIL, password=NEW)


async def test_a_token_is_good_for_half_an_hour(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    token = await asked(identity, storage)
    clock.move(minutes=30)
    with pytest.raises(LinkInvalid):
        await identity.recovery.complete(token, NEW, client=None)
    await identity.login(email=EMAIL, password=PASSWORD)


async def test_a_weak_password_leaves_the_token_good(
    identity: IdentityService, storage: Storage
) -> None:
    token = await asked(identity, storage)
    with pytest.raises(InvalidRequest) as refused:
        await identity.recovery.complete(token, "password1", client=None)
    assert [each.pointer for each in refused.value.fields] == ["/password"]
    await identity.recovery.complete(token, NEW, client=None)


async def test_recovery_ends_the_wait_that_strangers_caused(
    identity: IdentityService, storage: Storage
) -> None:
    for _ in range(5):
        with pytest.raises(InvalidCredentials):
            await identity.login(email=EMAIL, password="none of anybody's")
    with pytest.raises(TooManyAttempts):
        await identity.login(email=EMAIL, password=PASSWORD)
    await identity.recovery.complete(await asked(identity, storage), NEW, client=None)
    await identity.login(email=EMAIL, password=NEW)


async def test_the_mail_links_to_the_page_that_is_set(storage: Storage, clock: HandClock) -> None:
    page = "https://pay.example.com/new-password"
    async with identity_service(storage, clock, recovery_page=page) as identity:
        await identity.register(application(email=EMAIL))
        await identity.recovery.request(identity.contact(email=EMAIL, phone=None), client=None)
        link = (await latest(storage, EMAIL, "password_reset"))["link"]
        assert link.startswith(f"{page}#token=")
        await identity.recovery.complete(link.partition("#token=")[2], NEW, client=None)


async def test_asvs_7_4_3_a_change_ends_the_other_sessions(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    mine, other = [await identity.login(email=EMAIL, password=PASSWORD) for _ in range(2)]
    token = await asked(identity, storage)
    clock.move(seconds=1)
    principal = identity.principal(mine.access_token)
    await identity.recovery.change(principal, current=PASSWORD, new=NEW, client=None)
    with pytest.raises(Unauthenticated):
        identity.principal(other.access_token)
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(other.refresh_token)
    assert identity.principal(mine.access_token) == principal
    await identity.refresh(mine.refresh_token)
    await identity.login(email=EMAIL, password=NEW)
    with pytest.raises(LinkInvalid):
        await identity.recovery.complete(token, PASSWORD, client=None)
    assert "password_changed" in [each.template for each in await letters(storage, EMAIL)]


async def test_asvs_6_2_3_a_change_needs_the_current_password_and_a_good_new_one(
    identity: IdentityService,
) -> None:
    mine = await identity.login(email=EMAIL, password=PASSWORD)
    principal = identity.principal(mine.access_token)
    with pytest.raises(PasswordWrong):
        await identity.recovery.change(principal, current="not mine at all", new=NEW, client=None)
    with pytest.raises(InvalidRequest) as refused:
        await identity.recovery.change(principal, current=PASSWORD, new=EMAIL, client=None)
    assert [each.pointer for each in refused.value.fields] == ["/new_password"]
    for _ in range(5):
        with pytest.raises(PasswordWrong):
            await identity.recovery.change(principal, current="no", new=NEW, client=None)
    with pytest.raises(TooManyAttempts):
        await identity.recovery.change(principal, current="no", new=NEW, client=None)
    # The session itself goes on: nobody is put out by who sits at the machine for a moment.
    assert identity.principal(mine.access_token) == principal


async def test_sessions_end_also_if_the_process_dies_before_it_ends_them(
    identity: IdentityService, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = await identity.login(email=EMAIL, password=PASSWORD)
    token = await asked(identity, storage)

    async def die(self: Sessions, user_id: UserId, **_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Sessions, "end_all", die)
    with pytest.raises(RuntimeError):
        await identity.recovery.complete(token, NEW, client=None)
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(mine.refresh_token)


async def test_a_sign_in_that_is_overtaken_by_a_new_password_opens_no_session(
    identity: IdentityService, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await asked(identity, storage)
    opened = Sessions.open

    async def overtaken(self: Sessions, user: object, **_: object) -> object:
        monkeypatch.undo()
        await identity.recovery.complete(token, NEW, client=None)
        return await opened(self, user)  # type: ignore[arg-type]

    monkeypatch.setattr(Sessions, "open", overtaken)
    with pytest.raises(InvalidCredentials):
        await identity.login(email=EMAIL, password=PASSWORD)
    assert [each.revoked_because for each in await everything(storage, Session)] == [
        "credentials_changed"
    ]


async def test_a_token_used_twice_ends_the_session_and_tells_the_user(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    mine = await identity.login(email=EMAIL, password=PASSWORD)
    await identity.refresh(mine.refresh_token)
    clock.move(minutes=1)
    with pytest.raises(RefreshTokenReused):
        await identity.refresh(mine.refresh_token)
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(mine.refresh_token)
    sent = [each.template for each in await letters(storage, EMAIL)]
    assert sent.count("session_reuse") == 1
