"""T26: tokens and sessions are what ASVS 7 and 9 ask for, on every worker."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
import pytest

from guilder.admin.service import Administration
from guilder.audit.trail import AuditTrail
from guilder.identity.authentication import Principal
from guilder.identity.config import IdentityConfig, SigningKey
from guilder.identity.errors import RefreshTokenInvalid, Unauthenticated
from guilder.identity.service import IdentityService
from guilder.identity.sessions import SignIn
from guilder.kernel.ids import SessionId, UserId, WalletId, new_id
from guilder.storage.base import Storage
from tests.support.http import PASSWORD as HTTP_PASSWORD
from tests.support.http import Running
from tests.support.identity import PASSWORD, HandClock, application, identity_service

EMAIL = "payer@example.com"
OLD = SigningKey(b"the old signing key, which has 32 bytes or more")
NEW = SigningKey(b"the new signing key, which has 32 bytes or more")


@asynccontextmanager
async def workers(
    storage: Storage, clock: HandClock, *, count: int = 2, **changes: Any
) -> AsyncIterator[list[IdentityService]]:
    """Lend services as several processes have them, and register somebody."""
    async with AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(identity_service(storage, clock, **changes))
            for _ in range(count)
        ]
        await started[0].register(application(email=EMAIL))
        yield started


async def signed_in(identity: IdentityService, password: str = PASSWORD) -> SignIn:
    return await identity.login(email=EMAIL, password=password)


def is_accepted(identity: IdentityService, sign_in: SignIn) -> bool:
    try:
        identity.principal(sign_in.access_token)
    except Unauthenticated:
        return False
    return True


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def test_asvs_7_2_3_to_4_refresh_tokens_have_256_bits_and_are_new_at_every_sign_in(
    postgresql_storage: Storage,
) -> None:
    async with workers(postgresql_storage, HandClock(), count=1) as (identity,):
        tokens = [(await signed_in(identity)).refresh_token.split(".") for _ in range(20)]
    secrets = {each[3] for each in tokens}
    assert len(secrets) == len({each[1] for each in tokens}) == 20
    assert all(len(base64.urlsafe_b64decode(each + "=")) == 32 for each in secrets)


async def test_asvs_7_3_1_an_unused_session_ends(postgresql_storage: Storage) -> None:
    clock = HandClock()
    limits = {"session_idle_s": 3600, "refresh_ttl_s": 86_400}
    async with workers(postgresql_storage, clock, count=1, **limits) as (identity,):
        sign_in = await signed_in(identity)
        clock.move(minutes=15)
        assert not is_accepted(identity, sign_in)  # Money: nothing moves without a refresh.
        clock.move(minutes=44, seconds=59)
        sign_in = await identity.refresh(sign_in.refresh_token)
        clock.move(hours=1)
        with pytest.raises(RefreshTokenInvalid):
            await identity.refresh(sign_in.refresh_token)


async def test_asvs_7_3_2_a_session_ends_after_a_day_however_much_it_is_used(
    postgresql_storage: Storage,
) -> None:
    clock = HandClock()
    limits = {"session_idle_s": 3600, "refresh_ttl_s": 86_400}
    async with workers(postgresql_storage, clock, count=1, **limits) as (identity,):
        sign_in = await signed_in(identity)
        for _ in range(47):
            clock.move(minutes=30)
            sign_in = await identity.refresh(sign_in.refresh_token)
        assert sign_in.refresh_expires_in_s == 1800
        clock.move(minutes=30)
        with pytest.raises(RefreshTokenInvalid):
            await identity.refresh(sign_in.refresh_token)


async def _end_one(identity: IdentityService, sign_in: SignIn) -> None:
    session_id = identity.sessions.session_of(sign_in.refresh_token) or SessionId("")
    await identity.own_sessions.end_one(sign_in.user.id, session_id)


async def _end_all(identity: IdentityService, sign_in: SignIn) -> None:
    await identity.own_sessions.end_others(sign_in.user.id, but=None)


async def _sign_out(identity: IdentityService, sign_in: SignIn) -> None:
    await identity.logout(sign_in.refresh_token)


async def _change_password(identity: IdentityService, sign_in: SignIn) -> None:
    del sign_in
    other = await signed_in(identity)
    await identity.recovery.change(
        identity.principal(other.access_token),
        current=PASSWORD,
        new="seven green kettles sing",
        client=None,
    )
    assert is_accepted(identity, other)


@pytest.mark.parametrize("way", [_end_one, _end_all, _sign_out, _change_password])
async def test_asvs_7_4_1_what_has_ended_is_refused_by_every_worker(
    storage: Storage, way: Callable[[IdentityService, SignIn], Awaitable[None]]
) -> None:
    async with workers(storage, HandClock(), count=3, revocation_poll_s=0.02) as started:
        first, *others = started
        sign_in = await signed_in(first)
        assert all(is_accepted(each, sign_in) for each in started)
        await way(first, sign_in)
        assert not is_accepted(first, sign_in)
        for each in started:
            with pytest.raises(RefreshTokenInvalid):
                await each.refresh(sign_in.refresh_token)
        await until(lambda: not any(is_accepted(each, sign_in) for each in others))


def test_asvs_7_4_1_workers_look_twice_a_second() -> None:
    fields = {each.name: each.default for each in IdentityConfig.__dataclass_fields__.values()}
    assert fields["revocation_poll_s"] == 0.5


async def test_asvs_7_4_5_sessions_that_staff_end_are_refused_by_every_worker(
    storage: Storage,
) -> None:
    clock = HandClock()
    async with workers(storage, clock, count=3, revocation_poll_s=0.02) as started:
        first, *others = started
        held = [await signed_in(each) for each in started]
        audit = AuditTrail(storage, clock=clock)
        administration = Administration(storage, clock=clock, identity=first, audit=audit)
        operator = Principal(UserId(new_id("user")), WalletId(new_id("wallet")), None)
        await administration.end_sessions(held[0].user.id, actor=operator, client=None)
        assert not any(is_accepted(first, each) for each in held)
        for each in started:
            for sign_in in held:
                with pytest.raises(RefreshTokenInvalid):
                    await each.refresh(sign_in.refresh_token)
        await until(
            lambda: not any(is_accepted(each, sign_in) for each in others for sign_in in held)
        )
        new = await signed_in(first)
        assert all(is_accepted(each, new) for each in started)


async def test_asvs_7_5_2_a_user_sees_and_ends_sessions(guilder: Running) -> None:
    person = await guilder.person()
    agent = {"User-Agent": "Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/132.0"}
    body = {"email": person.user["email"], "password": HTTP_PASSWORD}
    other = (await guilder.client.post("/v1/login", json=body, headers=agent)).json()
    found = await person.get("/v1/sessions")
    assert found.headers["cache-control"] == "no-store"
    rows = found.json()["data"]
    assert [(each["device"], each["is_current"]) for each in rows] == [
        ("Firefox on Windows", False),
        (rows[1]["device"], True),
    ]
    assert {each["place"] for each in rows} == {"this computer"}
    first = await person.get("/v1/sessions?limit=1")
    rest = await person.get(f"/v1/sessions?cursor={first.json()['next_cursor']}")
    assert [*first.json()["data"], *rest.json()["data"]] == rows
    await ended(guilder, person.headers, "/v1/sessions")
    assert [each["is_current"] for each in await sessions(guilder, person.headers)] == [True]
    bearer = {"Authorization": f"Bearer {other['access_token']}"}
    assert (await guilder.client.get("/v1/users/me", headers=bearer)).status_code == 401
    await ended(guilder, person.headers, "/v1/sessions?all=true")
    assert (await person.get("/v1/users/me")).status_code == 401


async def ended(guilder: Running, headers: dict[str, str], path: str) -> None:
    answer = await guilder.client.delete(path, headers=headers)
    assert answer.status_code == 204, answer.text


async def sessions(guilder: Running, headers: dict[str, str]) -> list[dict[str, Any]]:
    answer = await guilder.client.get("/v1/sessions", headers=headers)
    return list(answer.json()["data"])


async def test_another_s_session_is_answered_like_none(guilder: Running) -> None:
    person, stranger = await guilder.person(), await guilder.person()
    (mine,) = await sessions(guilder, person.headers)
    answers = []
    for session_id in (mine["id"], "session_01h455vb4pex5vsknk084sn02q", "session_0", "%00"):
        path = f"/v1/sessions/{session_id}"
        answer = await guilder.client.delete(path, headers=stranger.headers)
        answers.append((answer.status_code, answer.json()["code"], answer.json()["detail"]))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][:2] == (404, "not_found")
    assert (await person.get("/v1/users/me")).status_code == 200


def _forged(token: str, header: dict[str, object], claims: dict[str, object]) -> str:
    """Return a token whose header and claims were changed, and whose seal was not."""
    head, body, seal = token.split(".")
    parts = [json.loads(base64.urlsafe_b64decode(each + "==")) for each in (head, body)]
    changed = [parts[0] | header, parts[1] | claims]
    text = [
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode()
        for each in changed
    ]
    return ".".join([*text, "" if header.get("alg") == "none" else seal])


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"alg": "none"}, {}),
        ({"alg": "None"}, {}),
        ({"alg": "RS256"}, {}),
        ({"alg": "HS512"}, {}),
        ({"alg": "Ed25519"}, {}),
        ({"jku": "https://evil.example/jwks.json"}, {}),
        ({"jwk": {"kty": "oct", "k": "AAAA"}}, {}),
        ({"kid": "../../../../dev/null"}, {}),
        ({"kid": "x' UNION SELECT 'AAAA"}, {}),
        ({"typ": "JWT"}, {}),
        ({"crit": ["exp"]}, {}),
        ({}, {"aud": "others"}),
        ({}, {"iss": "others"}),
        ({}, {"exp": 4_102_444_800}),
        ({}, {"nbf": 0}),
        ({}, {"sub": "user_01h2xcejqtf2nbrexx3vqjhp41"}),
        ({}, {"role": "operator"}),
    ],
    ids=str,
)
async def test_asvs_9_1_2_tokens_that_are_not_as_we_made_them(
    guilder: Running, header: dict[str, object], claims: dict[str, object]
) -> None:
    person = await guilder.person()
    token = _forged(person.token, header, claims)
    answer = await guilder.client.get("/v1/users/me", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    # The tool works: what it leaves alone is accepted.
    intact = {"Authorization": f"Bearer {_forged_nothing(person.token)}"}
    assert (await guilder.client.get("/v1/users/me", headers=intact)).status_code == 200


def _forged_nothing(token: str) -> str:
    head, body, seal = token.split(".")
    return f"{head}.{body}.{seal}"


async def test_asvs_9_1_3_keys_are_shown_to_everybody(
    guilder: Running, start: Callable[..., Any]
) -> None:
    answer = await guilder.client.get("/.well-known/jwks.json")
    assert answer.json() == {"keys": []}  # HS256: nothing of it is public.
    settings = {
        "signing_key": OLD.secret.decode(),
        "signing_key_next": NEW.secret.decode(),
        "signing_algorithm": "Ed25519",
        "signing_key_previous": "a secret of the time before, for HS256",
        "signing_algorithm_previous": "HS256",
    }
    async with start(**settings) as other:
        answer = await other.client.get("/.well-known/jwks.json")
        assert answer.headers["content-type"] == "application/jwk-set+json"
        assert answer.headers["cache-control"] == "public, max-age=300"
        assert [each["kid"] for each in answer.json()["keys"]] == [OLD.kid, NEW.kid]


async def test_asvs_13_3_4_keys_are_changed_while_clients_work(
    postgresql_storage: Storage,
) -> None:
    """Two processes are changed one after the other, in three steps; nobody notices."""
    clock = HandClock()
    steps: list[tuple[SigningKey, ...]] = [(OLD,), (OLD, NEW), (NEW, OLD), (NEW,)]
    configs = [[steps[0], steps[0]]]
    for step in steps[1:]:
        configs += [[step, configs[-1][1]], [step, step]]
    held: list[SignIn] = []
    for number, pair in enumerate(configs):
        async with AsyncExitStack() as stack:
            running = [
                await stack.enter_async_context(
                    identity_service(postgresql_storage, clock, signing_keys=keys)
                )
                for keys in pair
            ]
            if number == 0:
                await running[0].register(application(email=EMAIL))
            held += [await signed_in(each) for each in running]
            for sign_in in held:
                assert all(is_accepted(each, sign_in) for each in running), (number, pair)
        if number % 2 == 0:
            # The old key is dropped once its tokens are over.
            clock.move(seconds=901)
            held = []


async def test_a_refused_refresh_says_nothing_of_the_reason(guilder: Running) -> None:
    async def refused(token: str) -> httpx2.Response:
        return await guilder.client.post("/v1/auth/refresh", json={"refresh_token": token})

    person = await guilder.person()
    body = {"email": person.user["email"], "password": HTTP_PASSWORD}
    tokens = (await guilder.client.post("/v1/login", json=body)).json()
    await guilder.client.post("/v1/auth/logout", json={"refresh_token": tokens["refresh_token"]})
    details = {
        (await refused(each)).json()["detail"] for each in ("glr1.x.1.y.z", tokens["refresh_token"])
    }
    assert len(details) == 1
