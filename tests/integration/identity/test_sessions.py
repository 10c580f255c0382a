"""Sessions against a real database: one line of refresh tokens, and an end that everybody sees."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from guilder.identity.errors import (
    InvalidCredentials,
    RefreshTokenInvalid,
    RefreshTokenReused,
    Unauthenticated,
)
from guilder.identity.housekeeping import Housekeeping
from guilder.identity.models import RegistrationAnswer, Session, User
from guilder.identity.refresh_tokens import RefreshTokens
from guilder.identity.revocations import Revocations
from guilder.identity.service import IdentityService
from guilder.identity.sessions import SignIn
from guilder.kernel.errors import InvalidRequest, Unavailable
from guilder.kernel.ids import SessionId
from guilder.storage.base import Storage
from tests.support.identity import (
    PASSWORD,
    HandClock,
    application,
    identity_service,
    quick_config,
)
from tests.support.insisting import insist

EMAIL = "payer@example.com"
PHONE = "+12025550123"


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    async with identity_service(storage, clock) as service:
        await service.register(application(email=EMAIL, phone=PHONE))
        yield service


async def signed_in(identity: IdentityService) -> SignIn:
    return await identity.login(email=EMAIL, password=PASSWORD)


async def only_session(storage: Storage) -> Session:
    (session,) = await storage.documents(Session).page({}, limit=10)
    return session


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


def is_refused(identity: IdentityService, access_token: str) -> bool:
    try:
        identity.principal(access_token)
    except Unauthenticated:
        return True
    return False


@pytest.mark.parametrize(
    "who",
    [{"email": EMAIL}, {"email": "PAYER@EXAMPLE.COM"}, {"phone": "+1 202 555 0123"}],
    ids=str,
)
async def test_signs_in(identity: IdentityService, who: dict[str, Any]) -> None:
    sign_in = await identity.login(**who, password=PASSWORD)
    principal = identity.principal(sign_in.access_token)
    assert (principal.user_id, principal.wallet_id) == (sign_in.user.id, sign_in.user.wallet_id)
    assert sign_in.expires_in_s == 900
    assert sign_in.refresh_expires_in_s == 24 * 3600
    assert sign_in.access_token not in repr(sign_in)
    assert sign_in.refresh_token not in repr(sign_in)


@pytest.mark.parametrize(
    "who",
    [
        {"email": EMAIL, "password": PASSWORD + "x"},
        {"email": EMAIL, "password": ""},
        {"email": EMAIL, "password": "x" * 1025},
        {"email": EMAIL, "password": "\ud800"},
        {"email": "nobody@example.com", "password": PASSWORD},
        {"phone": "+12025550199", "password": PASSWORD},
    ],
    ids=str,
)
async def test_wrong_and_unknown_are_answered_alike(
    identity: IdentityService, storage: Storage, who: dict[str, Any]
) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        await identity.login(**who)
    assert vars(caught.value) == vars(InvalidCredentials())
    assert await storage.documents(Session).page({}, limit=10) == []


@pytest.mark.parametrize(
    "who",
    [{}, {"email": EMAIL, "phone": PHONE}, {"email": "no address"}, {"phone": "no number"}],
    ids=str,
)
async def test_one_of_address_and_number_is_needed(
    identity: IdentityService, who: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest):
        await identity.login(**who, password=PASSWORD)


async def test_a_cheaper_hash_is_renewed_at_sign_in(storage: Storage, clock: HandClock) -> None:
    async with identity_service(storage, clock) as old:
        record = (await old.register(application(email=EMAIL))).record
    async with identity_service(storage, clock, bcrypt_cost=5) as new:
        await signed_in(new)
        user = await new.get_user(record.id)
        assert user
        assert user.password_hash.startswith("$2b$05$")
        await signed_in(new)


async def test_tokens_are_stored_as_hashes_only(
    identity: IdentityService, storage: Storage
) -> None:
    sign_in = await signed_in(identity)
    session = repr(await only_session(storage))
    secret = sign_in.refresh_token.split(".")[3]
    assert secret not in session
    assert sign_in.access_token not in session


async def test_refreshing_replaces_the_token(identity: IdentityService, clock: HandClock) -> None:
    first = await signed_in(identity)
    clock.move(minutes=10)
    second = await identity.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token
    assert second.refresh_expires_in_s == 24 * 3600 - 600
    assert second.user == first.user
    assert identity.principal(second.access_token) == identity.principal(first.access_token)
    clock.move(minutes=10)
    assert (await identity.refresh(second.refresh_token)).refresh_token != second.refresh_token


async def test_asvs_10_4_5_a_retry_within_the_grace_gets_the_same_successor(
    identity: IdentityService, clock: HandClock
) -> None:
    first = await signed_in(identity)
    second = await identity.refresh(first.refresh_token)
    clock.move(seconds=10)
    assert (await identity.refresh(first.refresh_token)).refresh_token == second.refresh_token
    clock.move(seconds=10)
    assert (await identity.refresh(second.refresh_token)).refresh_token != second.refresh_token


async def test_asvs_10_4_5_reuse_after_the_grace_ends_the_whole_family(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    first = await signed_in(identity)
    second = await identity.refresh(first.refresh_token)
    other = await signed_in(identity)
    clock.move(seconds=10, milliseconds=1)
    with pytest.raises(RefreshTokenReused):
        await identity.refresh(first.refresh_token)
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(second.refresh_token)
    assert is_refused(identity, first.access_token)
    assert is_refused(identity, second.access_token)
    assert not is_refused(identity, other.access_token)
    await identity.refresh(other.refresh_token)
    session_id = second.refresh_token.split(".")[1]
    session = await storage.documents(Session).get(session_id)
    assert session
    assert session.revoked_because == "refresh_token_reused"


async def test_a_token_two_turns_old_is_reuse_even_within_the_grace(
    identity: IdentityService,
) -> None:
    first = await signed_in(identity)
    second = await identity.refresh(first.refresh_token)
    third = await identity.refresh(second.refresh_token)
    with pytest.raises(RefreshTokenReused):
        await identity.refresh(first.refresh_token)
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(third.refresh_token)


async def test_sixty_four_refreshes_of_one_token_make_one_line(
    identity: IdentityService, storage: Storage
) -> None:
    first = await signed_in(identity)
    answers = await asyncio.gather(*(identity.refresh(first.refresh_token) for _ in range(64)))
    assert len({each.refresh_token for each in answers}) == 1
    session = await only_session(storage)
    assert (session.generation, session.version, session.revoked_at) == (2, 2, None)


async def test_sixty_four_reuses_at_once_end_it_once(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    first = await signed_in(identity)
    second = await identity.refresh(first.refresh_token)
    clock.move(seconds=11)
    tokens = [first.refresh_token, second.refresh_token] * 32
    answers = await asyncio.gather(*map(identity.refresh, tokens), return_exceptions=True)
    kinds = {type(each) for each in answers}
    assert kinds <= {SignIn, RefreshTokenReused, RefreshTokenInvalid}
    session = await only_session(storage)
    assert session.revoked_because == "refresh_token_reused"
    assert session.generation <= 3
    assert all(is_refused(identity, each.access_token) for each in answers if type(each) is SignIn)


async def test_asvs_10_4_8_a_session_ends_after_a_day_however_often_refreshed(
    identity: IdentityService, clock: HandClock
) -> None:
    sign_in = await signed_in(identity)
    clock.move(hours=23)
    sign_in = await identity.refresh(sign_in.refresh_token)
    assert sign_in.refresh_expires_in_s == 3600
    clock.move(hours=1)
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(sign_in.refresh_token)


async def test_tokens_that_are_none_of_ours(identity: IdentityService) -> None:
    tokens = RefreshTokens(quick_config().pepper)
    unknown = tokens.write(tokens.first(SessionId("session_0")))
    for text in ("", "x", unknown):
        with pytest.raises(RefreshTokenInvalid):
            await identity.refresh(text)
        await identity.logout(text)


async def test_a_sealed_token_that_was_never_given_out_ends_nothing(
    identity: IdentityService, storage: Storage
) -> None:
    first = await signed_in(identity)
    tokens = RefreshTokens(quick_config().pepper)
    forged = tokens.first((await only_session(storage)).session_id)
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(tokens.write(forged))
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(tokens.write(tokens.successor(forged)))
    await identity.refresh(first.refresh_token)


async def test_the_session_of_a_user_who_is_gone(
    identity: IdentityService, storage: Storage
) -> None:
    first = await signed_in(identity)
    await storage.documents(User).delete(first.user.id)
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(first.refresh_token)


async def test_signing_out_ends_the_session_at_once_and_that_one_only(
    identity: IdentityService,
) -> None:
    first, other = await signed_in(identity), await signed_in(identity)
    identity.principal(first.access_token)
    await identity.logout(first.refresh_token)
    await identity.logout(first.refresh_token)
    assert is_refused(identity, first.access_token)
    with pytest.raises(RefreshTokenInvalid):
        await identity.refresh(first.refresh_token)
    assert not is_refused(identity, other.access_token)


async def test_an_old_token_signs_out_too(identity: IdentityService, clock: HandClock) -> None:
    first = await signed_in(identity)
    second = await identity.refresh(first.refresh_token)
    clock.move(minutes=1)
    await identity.logout(first.refresh_token)
    assert is_refused(identity, second.access_token)


async def test_signing_out_wins_against_refreshing(
    identity: IdentityService, storage: Storage
) -> None:
    for _ in range(8):
        first = await signed_in(identity)
        answers = await asyncio.gather(
            *(insist(partial(identity.refresh, first.refresh_token)) for _ in range(4)),
            insist(partial(identity.logout, first.refresh_token)),
            return_exceptions=True,
        )
        for each in answers:
            assert each is None or isinstance(each, SignIn | RefreshTokenInvalid)
            assert not isinstance(each, SignIn) or is_refused(identity, each.access_token)
    sessions = await storage.documents(Session).page({}, limit=10)
    assert all(each.revoked_because == "signed_out" for each in sessions)


async def test_another_process_follows(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    async with identity_service(storage, clock, revocation_poll_s=0.02) as other:
        sign_in = await signed_in(identity)
        assert not is_refused(other, sign_in.access_token)
        await identity.logout(sign_in.refresh_token)
        await until(lambda: is_refused(other, sign_in.access_token))


async def test_a_process_that_starts_later_knows(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    sign_in = await signed_in(identity)
    await identity.logout(sign_in.refresh_token)
    clock.move(minutes=14)
    async with identity_service(storage, clock, revocation_poll_s=3600) as other:
        assert is_refused(other, sign_in.access_token)


async def made_revocations(storage: Storage, clock: HandClock, stale_s: float) -> Revocations:
    return Revocations(storage=storage, clock=clock, access_ttl_s=900, poll_s=0.02, stale_s=stale_s)


async def test_more_ended_sessions_than_a_page(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    await signed_in(identity)
    session = await only_session(storage)
    async with storage.transaction() as transaction:
        sessions = transaction.documents(Session)
        for number in range(1001):
            fields = {name: getattr(session, name) for name in session.__struct_fields__}
            fields |= {"id": f"session_{number}", "revoked_at": clock(), "version": 1}
            await sessions.insert(Session(**fields))
    revocations = await made_revocations(storage, clock, 30)
    await revocations.look()
    assert all(revocations.is_revoked(SessionId(f"session_{number}")) for number in range(1001))
    assert not revocations.is_revoked(session.session_id)
    clock.move(minutes=16)
    await revocations.look()
    assert not revocations.is_revoked(SessionId("session_0"))


async def test_a_guard_that_cannot_see_stays_shut(
    identity: IdentityService, storage: Storage, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    revocations = await made_revocations(storage, clock, 0.1)
    sign_in = await signed_in(identity)
    session_id = identity.principal(sign_in.access_token).session_id
    assert session_id
    await revocations.start()
    try:
        assert not revocations.is_revoked(session_id)

        async def fail(*_: object, **__: object) -> list[Session]:
            raise Unavailable

        def is_shut() -> bool:
            try:
                return revocations.is_revoked(session_id)
            except Unavailable:
                return True

        with monkeypatch.context() as patched:
            patched.setattr(revocations._sessions, "page", fail)
            await until(is_shut)
        await until(lambda: not is_shut())
    finally:
        await revocations.stop()


async def test_housekeeping_removes_what_is_over_and_nothing_else(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    await signed_in(identity)
    keep = Housekeeping(storage=storage, clock=clock)
    clock.move(hours=47)
    assert not await keep.sweep()
    assert len(await storage.documents(RegistrationAnswer).page({}, limit=10)) == 1
    clock.move(hours=1, milliseconds=1)
    await keep.sweep()
    assert await storage.documents(RegistrationAnswer).page({}, limit=10) == []
    clock.move(days=28)
    await signed_in(identity)
    clock.move(days=1, milliseconds=1)
    await keep.sweep()
    assert len(await storage.documents(Session).page({}, limit=10)) == 1
    assert len(await storage.documents(User).page({}, limit=10)) == 1
