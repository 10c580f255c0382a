"""Linking accounts at other companies, and unlinking them: by their owner, and by nobody else."""

import asyncio

import pytest
from msgspec.structs import replace

from guilder.audit.trail import Search
from guilder.identity.models import User
from guilder.identity.outside.errors import OutsideLastWayIn
from guilder.identity.outside.models import OutsidePerson
from tests.support.oidc import Browser, browser
from tests.support.outside_people import (
    World,
    assert_problem,
    begun_link,
    linked,
    messages_to,
    registered,
    somebody,
    stepped_up,
)


async def test_facebook_signs_a_linked_account_in(world: World, client: Browser) -> None:
    headers = await registered(world, "friend@example.com")
    me = (await client.api.get("/v1/users/me", headers=headers)).json()["id"]
    world.facebook.person = {"id": "42", "name": "Friend", "email": "other@example.com"}
    url = await begun_link(client, headers, "facebook")
    told = await client.back((await client.to_callback(url)).partition("#")[0])
    body = {"code": told["code"], "verifier": client.verifier}
    answer = await client.api.post("/v1/users/me/outside", headers=headers, json=body)
    assert answer.json()["label"] == "Facebook"
    assert answer.json()["email"] == "other@example.com"
    signed_in = await client.sign_in("facebook")
    assert signed_in.json()["user"]["id"] == me
    assert world.facebook.problems == []


async def test_an_account_is_never_linked_because_of_its_address(
    world: World, client: Browser
) -> None:
    headers = await registered(world, "owner@example.com")
    somebody(world, "owner", email="Owner@Example.com")
    before = len(await world.linked())
    assert_problem(await client.sign_in("company"), 409, "sign_in_to_link")
    assert len(await world.linked()) == before
    # Signed in, the owner links it; from then on it signs them in.
    me = (await client.api.get("/v1/users/me", headers=headers)).json()["id"]
    answer = await linked(client, headers)
    assert answer.status_code == 200, answer.text
    assert (await client.sign_in("company")).json()["user"]["id"] == me


async def test_an_account_links_to_one_user_only(world: World, client: Browser) -> None:
    somebody(world, "shared")
    (await client.sign_in("company")).raise_for_status()
    headers = await registered(world, "second@example.com")
    assert_problem(await linked(client, headers), 409, "outside_already_linked")


async def test_a_user_links_one_account_at_each_company(world: World, client: Browser) -> None:
    headers = await registered(world, "greedy@example.com")
    somebody(world, "first-account")
    first = await linked(client, headers)
    assert first.status_code == 200
    # Linked again, it stays linked.
    assert (await linked(client, headers)).json() == first.json()
    somebody(world, "second-account")
    assert_problem(await linked(client, headers), 409, "outside_already_linked")


async def test_linking_needs_the_user_who_began(world: World, client: Browser) -> None:
    """An attacker who begins to link, and has a victim walk the way, gets nothing."""
    attacker = await registered(world, "attacker@example.com")
    victim = await registered(world, "lured@example.com")
    somebody(world, "lured")
    before = len(await world.linked())
    url = await begun_link(client, attacker)
    async with browser(world.base_url) as victims:
        told = await victims.back(await victims.to_callback(url))
        # The code is in the victim's browser. There it is of no use, neither to link nor to enter;
        # and the first try has ended it.
        body = {"code": told["code"], "verifier": victims.verifier}
        answer = await victims.api.post("/v1/users/me/outside", headers=victim, json=body)
        assert_problem(answer, 410, "outside_attempt_invalid")
    body = {"code": told["code"], "verifier": client.verifier}
    answer = await client.api.post("/v1/users/me/outside", headers=attacker, json=body)
    assert_problem(answer, 410, "outside_attempt_invalid")
    assert len(await world.linked()) == before


async def test_a_code_for_linking_signs_nobody_in(world: World, client: Browser) -> None:
    headers = await registered(world, "linker@example.com")
    somebody(world, "linker-there")
    before = await world.users()
    told = await client.back(await client.to_callback(await begun_link(client, headers)))
    assert_problem(await client.complete(told), 410, "outside_attempt_invalid")
    # Nor does a code for signing in link.
    told = await client.walk("company")
    body = {"code": told["code"], "verifier": client.verifier}
    answer = await client.api.post("/v1/users/me/outside", headers=headers, json=body)
    assert_problem(answer, 410, "outside_attempt_invalid")
    assert await world.users() == before


async def test_unlinking_tells_the_user(world: World, client: Browser) -> None:
    headers = await registered(world, "leaving@example.com")
    somebody(world, "leaving-there")
    assert (await linked(client, headers)).status_code == 200
    gone = await stepped_up(client, "DELETE", "/v1/users/me/outside/company", headers)
    assert gone.status_code == 204, gone.text
    again = await stepped_up(client, "DELETE", "/v1/users/me/outside/company", headers)
    assert_problem(again, 404, "outside_provider_unknown")
    told = await messages_to(world, "leaving@example.com")
    assert [each for each in told if "way_in" in each] == ["way_in_added", "way_in_removed"]
    me = (await client.api.get("/v1/users/me", headers=headers)).json()["id"]
    entries = await world.guilder.app.state.audit.search(Search(subject=me))
    actions = {entry.event.action for entry in entries}
    assert {"outside_account.linked", "outside_account.unlinked"} <= actions


async def test_the_only_way_in_stays(world: World, client: Browser) -> None:
    accounts = world.guilder.app.state.identity.outside.accounts
    somebody(world, "cornered")
    user_id = (await client.sign_in("company")).json()["user"]["id"]
    users = world.storage.documents(User)
    user = await users.get(user_id)
    assert user is not None
    bare = replace(user, email=None, email_key=None, email_verified_at=None)
    await users.replace(bare)
    with pytest.raises(OutsideLastWayIn):
        await accounts.unlink(user_id, "company", label="The Company", client=None)
    assert len(await accounts.of_user(user_id)) == 1


async def test_two_who_unlink_at_once_leave_one(world: World, client: Browser) -> None:
    identity = world.guilder.app.state.identity
    accounts = identity.outside.accounts
    somebody(world, "twofold")
    user_id = (await client.sign_in("company")).json()["user"]["id"]
    users = world.storage.documents(User)
    user = await users.get(user_id)
    assert user is not None
    person = OutsidePerson(
        issuer="https://www.facebook.com",
        subject="twofold-there",
        name="Twofold",
        email=None,
        is_email_shown=False,
    )
    await accounts.link(user_id, "facebook", person, label="Facebook", client=None)
    user = await users.get(user_id)
    assert user is not None
    await users.replace(replace(user, email=None, email_key=None, email_verified_at=None))
    done = await asyncio.gather(
        *(
            accounts.unlink(user_id, name, label=name, client=None)
            for name in ("company", "facebook")
        ),
        return_exceptions=True,
    )
    assert [type(each).__name__ for each in done if each is not None] == ["OutsideLastWayIn"]
    assert len(await accounts.of_user(user_id)) == 1
