"""Identity over HTTP: the bodies, headers and refusals that a client sees."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from guilder.identity.authentication import Authenticator
from guilder.identity.models import User
from guilder.identity.routes import router, specification_router
from guilder.identity.service import IdentityService
from guilder.middlewares import problems
from guilder.storage.base import Storage
from tests.support.identity import PASSWORD, HandClock, identity_service

BODY = {"name": "First Payer", "email": "payer@example.com", "password": PASSWORD}


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    async with identity_service(storage, clock) as service:
        yield service


@pytest.fixture
def app(identity: IdentityService) -> FastAPI:
    made = FastAPI()
    problems.install(made)
    made.include_router(specification_router)
    made.include_router(specification_router, prefix="/v1")
    made.include_router(router, prefix="/v1")
    made.state.identity = identity
    made.state.authenticator = Authenticator(identity)
    return made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://tests") as made:
        yield made


async def signed_in(client: httpx2.AsyncClient) -> dict[str, Any]:
    await client.post("/v1/register", json=BODY)
    response = await client.post(
        "/v1/login", json={"email": "payer@example.com", "password": PASSWORD}
    )
    assert response.status_code == 200
    return dict(response.json())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def assert_problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = dict(response.json())
    assert body["code"] == code
    return body


@pytest.mark.parametrize("path", ["/register", "/v1/register"])
async def test_register(client: httpx2.AsyncClient, path: str) -> None:
    response = await client.post(path, json={**BODY, "phone": "+1 202 555 0123"})
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert "idempotent-replayed" not in response.headers
    body = response.json()
    assert list(body) == [
        "id",
        "name",
        "email",
        "phone",
        "email_verified",
        "phone_verified",
        "wallet_id",
        "created_at",
        "updated_at",
    ]
    assert not body["email_verified"]
    assert not body["phone_verified"]
    assert body["phone"] == "+12025550123"
    assert body["created_at"] == "2026-01-31T12:00:00.000Z"
    assert datetime.fromisoformat(body["created_at"]).tzinfo
    assert PASSWORD not in response.text


@pytest.mark.parametrize("is_taken", [False, True])
async def test_a_key_makes_the_answer_the_same_to_the_byte(
    client: httpx2.AsyncClient, clock: HandClock, is_taken: bool
) -> None:
    if is_taken:
        await client.post("/register", json={**BODY, "password": "seven other unlikely words"})
    headers = {"Idempotency-Key": "key"}
    first = await client.post("/register", json=BODY, headers=headers)
    clock.move(hours=1)
    # Order of fields and the other path are no other request.
    backwards = dict(reversed(BODY.items()))
    again = await client.post("/v1/register", json=backwards, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = await client.post("/register", json={**BODY, "name": "Other"}, headers=headers)
    assert_problem(other, 422, "idempotency_key_reused")


async def test_taken_and_free_look_alike(client: httpx2.AsyncClient) -> None:
    free = await client.post("/register", json=BODY)
    taken = await client.post("/register", json={**BODY, "password": "seven other unlikely words"})
    unlike = {"id", "wallet_id"}
    one, other = free.json(), taken.json()
    assert {name: one[name] for name in one if name not in unlike} == {
        name: other[name] for name in other if name not in unlike
    }
    assert {name: len(one[name]) for name in unlike} == {name: len(other[name]) for name in unlike}
    assert free.headers == taken.headers


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": 5}, "/name"),
        ({"email": None}, "/email"),
        ({"email": "no address"}, "/email"),
        ({"phone": 12025550123}, "/phone"),
        ({"phone": "12"}, "/phone"),
        ({"password": "s1xch."}, "/password"),
        ({"password": "password1"}, "/password"),
        ({"password": 12345678}, "/password"),
        ({"password": "x" * 1025}, "/password"),
        ({"role": "admin"}, "/role"),
        ({"balance": 100}, "/balance"),
        ({"wallet_id": "wallet_0"}, "/wallet_id"),
    ],
    ids=str,
)
async def test_wrong_fields(
    client: httpx2.AsyncClient, change: dict[str, Any], pointer: str
) -> None:
    response = await client.post("/register", json={**BODY, **change})
    body = assert_problem(response, 422, "invalid")
    assert [each["pointer"] for each in body["errors"]] == [pointer]
    assert str(change.get("password", "nothing")) not in response.text


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\tin it"])
async def test_a_key_that_is_none(client: httpx2.AsyncClient, key: str) -> None:
    for path, body in (("/register", BODY), ("/v1/auth/logout", {"refresh_token": "x"})):
        response = await client.post(path, json=body, headers={"Idempotency-Key": key})
        assert_problem(response, 422, "invalid")


async def test_lone_surrogates_are_no_server_error(client: httpx2.AsyncClient) -> None:
    for name in BODY:
        raw = json.dumps({**BODY, name: "x\ud800yz@example.com"})
        response = await client.post(
            "/register", content=raw, headers={"Content-Type": "application/json"}
        )
        assert response.status_code in {400, 422}, name


async def test_login(client: httpx2.AsyncClient) -> None:
    body = await signed_in(client)
    assert list(body) == [
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "refresh_expires_in",
        "user",
        "device_token",
    ]
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
    me = await client.get("/v1/users/me", headers=bearer(body["access_token"]))
    assert me.json() == body["user"]
    assert me.headers["cache-control"] == "no-store"


async def test_wrong_and_unknown_are_answered_alike(client: httpx2.AsyncClient) -> None:
    await client.post("/register", json=BODY)
    answers = [
        await client.post("/login", json={"email": email, "password": "none of anybody's"})
        for email in ("payer@example.com", "nobody@example.com")
    ]
    for each in answers:
        assert_problem(each, 401, "invalid_credentials")
    assert answers[0].content == answers[1].content
    assert answers[0].headers == answers[1].headers


async def test_refresh_and_its_retry(client: httpx2.AsyncClient, clock: HandClock) -> None:
    first = await signed_in(client)
    body = {"refresh_token": first["refresh_token"]}
    second = await client.post("/v1/auth/refresh", json=body)
    retry = await client.post("/v1/auth/refresh", json=body)
    assert second.status_code == retry.status_code == 200
    assert second.headers["cache-control"] == "no-store"
    assert second.json()["refresh_token"] == retry.json()["refresh_token"]
    clock.move(seconds=11)
    reused = await client.post("/v1/auth/refresh", json=body)
    assert_problem(reused, 401, "refresh_token_reused")
    after = await client.post(
        "/v1/auth/refresh", json={"refresh_token": second.json()["refresh_token"]}
    )
    assert_problem(after, 401, "refresh_token_invalid")
    me = await client.get("/v1/users/me", headers=bearer(second.json()["access_token"]))
    assert_problem(me, 401, "unauthenticated")


async def test_logout_answers_alike_for_any_token(client: httpx2.AsyncClient) -> None:
    body = await signed_in(client)
    for token in (body["refresh_token"], body["refresh_token"], "unknown", "\u00e4"):
        response = await client.post("/v1/auth/logout", json={"refresh_token": token})
        assert (response.status_code, response.content) == (204, b"")
    me = await client.get("/v1/users/me", headers=bearer(body["access_token"]))
    assert_problem(me, 401, "unauthenticated")


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer x", "Basic eDp4", "bearer a.b.c", "x" * 5000],
)
async def test_without_a_valid_token(client: httpx2.AsyncClient, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    assert_problem(await client.get("/v1/users/me", headers=headers), 401, "unauthenticated")


async def test_the_user_who_is_gone(client: httpx2.AsyncClient, storage: Storage) -> None:
    body = await signed_in(client)
    await storage.documents(User).delete(body["user"]["id"])
    me = await client.get("/v1/users/me", headers=bearer(body["access_token"]))
    assert_problem(me, 401, "unauthenticated")


async def test_a_refresh_token_is_no_access_token(client: httpx2.AsyncClient) -> None:
    body = await signed_in(client)
    me = await client.get("/v1/users/me", headers=bearer(body["refresh_token"]))
    assert_problem(me, 401, "unauthenticated")
    response = await client.post("/v1/auth/refresh", json={"refresh_token": body["access_token"]})
    assert_problem(response, 401, "refresh_token_invalid")


def test_openapi_names_errors_security_and_examples(app: FastAPI) -> None:
    document = app.openapi()
    paths = document["paths"]
    login = json.dumps(paths["/v1/login"]["post"]["responses"])
    for code in ("invalid_credentials", "overloaded", "invalid", "unavailable"):
        assert f'"{code}"' in login
    assert paths["/v1/users/me"]["get"]["security"]
    for name in ("RegisterBody", "LoginBody", "RefreshBody", "UserAnswer", "SignInAnswer"):
        assert document["components"]["schemas"][name]["examples"]
    password = document["components"]["schemas"]["RegisterBody"]["properties"]["password"]
    assert password["format"] == "password"
    assert password["writeOnly"]
