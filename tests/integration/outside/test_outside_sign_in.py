"""Signing in by other companies over HTTP, from the button to the session."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from guilder.identity.outside.models import MODELS
from tests.support.http import PASSWORD
from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, Browser, browser
from tests.support.outside_people import (
    World,
    assert_problem,
    bearer,
    code_sent,
    registered,
    somebody,
)


async def test_the_companies_are_listed(client: Browser) -> None:
    answer = await client.api.get("/v1/auth/outside")
    assert answer.json() == {
        "data": [
            {"name": "company", "label": "The Company"},
            {"name": "facebook", "label": "Facebook"},
            {"name": "mock", "label": "Mock"},
        ]
    }


async def test_somebody_new_gets_a_user_and_a_wallet(world: World, client: Browser) -> None:
    somebody(world, "newcomer")
    answer = await client.sign_in("company")
    headers = bearer(answer)
    assert answer.headers["cache-control"] == "no-store"
    user = answer.json()["user"]
    assert user["email"] == "newcomer@example.com"
    assert user["email_verified"]
    assert user["name"] == "Newcomer"
    wallet = await client.api.get("/v1/wallet", headers=headers)
    assert wallet.json()["wallet_id"] == user["wallet_id"]
    assert world.company.problems == []
    listed = (await client.api.get("/v1/users/me/outside", headers=headers)).json()["data"]
    assert [(each["provider"], each["email"]) for each in listed] == [
        ("company", "newcomer@example.com")
    ]


async def test_the_next_time_it_is_the_same_user(world: World, client: Browser) -> None:
    somebody(world, "returning")
    first = (await client.sign_in("company")).json()["user"]
    # Issuer and subject tell who it is: whatever else is said by now changes nothing.
    somebody(world, "returning", email="renamed@example.com", name="Renamed")
    assert (await client.sign_in("company")).json()["user"] == first


async def test_another_provider_is_another_person(world: World, client: Browser) -> None:
    somebody(world, "10158")
    user = (await client.sign_in("company")).json()["user"]
    # The same subject at Facebook is somebody else.
    world.facebook.person = {"id": "10158", "name": "A Friend"}
    assert_problem(await client.sign_in("facebook"), 409, "outside_email_needed")
    assert user["name"] == "10158"


async def test_a_provider_that_is_not_ours(client: Browser) -> None:
    answer = await client.sign_in("mock", {"sub": "mocked"})
    assert answer.json()["user"]["email"] == "mock@example.com"
    again = await client.sign_in("mock", {"sub": "mocked"})
    assert again.json()["user"] == answer.json()["user"]


async def test_a_provider_that_is_not_ours_vouches_for_nothing(client: Browser) -> None:
    # Whoever is typed in there has an address, and no `email_verified`.
    answer = await client.sign_in("mock", {"sub": "typed@example.com"})
    body = assert_problem(answer, 409, "outside_email_needed")
    assert body["hint"] == {"name": "Mock user", "email": "typed@example.com"}


async def test_a_user_who_does_not_agree(world: World, client: Browser) -> None:
    world.company.reply = {"code": None, "error": "access_denied", "error_description": "No <b>"}
    assert await client.walk("company") == {"error": "outside_denied"}


async def test_facebook_vouches_for_no_address(world: World, client: Browser) -> None:
    victim = await registered(world, "victim-of-facebook@example.com")
    before = await world.users()
    world.facebook.person = {
        "id": "666",
        "name": "Anybody",
        "email": "victim-of-facebook@example.com",
        "email_verified": True,
    }
    body = assert_problem(await client.sign_in("facebook"), 409, "outside_email_needed")
    # Whether somebody has the address it does not say.
    assert body["hint"]["email"] == "victim-of-facebook@example.com"
    assert await world.users() == before
    listed = await client.api.get("/v1/users/me/outside", headers=victim)
    assert listed.json() == {"data": []}


@pytest.mark.parametrize(
    "verified", [False, None, "true", 1], ids=["false", "null", "text", "number"]
)
async def test_an_unverified_address_opens_nothing(
    world: World, client: Browser, verified: object
) -> None:
    somebody(world, "unverified", email_verified=verified)
    before = await world.users()
    body = assert_problem(await client.sign_in("company"), 409, "outside_email_needed")
    assert body["hint"]["email"] == "unverified@example.com"
    assert await world.users() == before


async def test_an_address_in_the_user_info_counts_too(world: World, client: Browser) -> None:
    somebody(world, "elsewhere")
    world.company.lies = {"email": ..., "email_verified": ..., "name": ...}
    assert (await client.sign_in("company")).json()["user"]["email"] == "elsewhere@example.com"


async def test_pre_registration_gives_the_attacker_nothing(world: World, client: Browser) -> None:
    """An attacker registers the victim's address, with a password, before the victim comes."""
    attacker = await registered(world, "expected@example.com")
    somebody(world, "expected")
    assert_problem(await client.sign_in("company"), 409, "sign_in_to_link")
    # The victim shows that the address is theirs: the attacker's password and sessions end.
    email = {"email": "expected@example.com"}
    await client.api.post("/v1/auth/codes", json=email)
    code = await code_sent(world, "expected@example.com")
    redeemed = await client.api.post("/v1/auth/codes/redeem", json={**email, "code": code})
    assert redeemed.status_code == 200, redeemed.text
    assert (await client.api.get("/v1/users/me", headers=attacker)).status_code == 401
    login = await client.api.post("/v1/login", json={**email, "password": PASSWORD})
    assert_problem(login, 401, "invalid_credentials")


async def test_registering_after_the_victim_gives_the_attacker_nothing(
    world: World, client: Browser
) -> None:
    somebody(world, "early")
    victim = (await client.sign_in("company")).json()["user"]
    credentials = {"email": "early@example.com", "password": PASSWORD}
    decoy = await client.api.post("/v1/register", json={"name": "Attacker", **credentials})
    assert decoy.status_code == 201
    assert decoy.json()["id"] != victim["id"]
    assert_problem(await client.api.post("/v1/login", json=credentials), 401, "invalid_credentials")


async def test_many_at_once_make_one_user(world: World) -> None:
    somebody(world, "many")
    before = await world.users()

    async def once() -> httpx2.Response:
        async with browser(world.base_url) as one:
            return await one.sign_in("company")

    answers = await asyncio.gather(*(once() for _ in range(6)))
    assert {answer.status_code for answer in answers} <= {200, 409, 503}
    users = {answer.json()["user"]["id"] for answer in answers if answer.status_code == 200}
    assert len(users) == 1
    assert await world.users() == before + 1


async def test_nothing_personal_is_stored_in_clear(world: World, client: Browser) -> None:
    somebody(world, "secretive-subject")
    await client.walk("company")
    (await client.sign_in("company")).raise_for_status()
    stored = [
        str(document)
        for model in MODELS
        for document in await world.storage.documents(model).page({}, limit=1_000)
    ]
    assert stored
    assert not [each for each in stored if "secretive" in each]


async def test_what_the_browser_is_sent_with(client: Browser) -> None:
    first = query_of((await client.start("company")).headers["location"])
    second = query_of((await client.start("company")).headers["location"])
    assert first["code_challenge_method"] == "S256"
    assert first["response_type"] == "code"
    for secret in ("state", "nonce", "code_challenge"):
        assert len(first[secret]) >= 43
        assert first[secret] != second[secret]
    assert CLIENT_SECRET not in str(first)
    assert first["client_id"] == CLIENT_ID


def query_of(url: str) -> dict[str, str]:
    """Return the query of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
