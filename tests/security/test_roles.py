"""What staff do: look up, set roles, read the record. Who may is the authorization matrix's."""

import asyncio

import httpx2
import pytest

from guilder.admin.errors import OwnRole
from guilder.cli import main
from guilder.cli.exit_codes import ExitCode
from guilder.identity.errors import SignedInWithoutSecondFactor
from guilder.identity.factors.rules import STEP_S
from guilder.identity.factors.totp import code_at
from guilder.identity.permissions import GRANTABLE, Role
from guilder.kernel.clock import utc_now
from guilder.kernel.ids import new_id
from tests.support.authorization_world import (
    api_key,
    given_role,
    signed_in_with_factor,
    staff_of,
)
from tests.support.http import PASSWORD, Person, Running


@pytest.fixture
async def operator(guilder: Running) -> Person:
    return await staff(guilder, Role.OPERATOR)


async def staff(guilder: Running, role: Role) -> Person:
    return await staff_of(guilder, guilder.client, role)


async def again(guilder: Running, person: Person) -> Person:
    body = {"email": person.user["email"], "password": PASSWORD}
    answer = (await guilder.client.post("/v1/login", json=body)).raise_for_status().json()
    return Person(guilder.client, person.user, answer["access_token"])


async def put_role(actor: Person, user_id: str, role: str) -> httpx2.Response:
    return await proved(actor, "PUT", f"/v1/admin/users/{user_id}/role", {"role": role})


async def end_sessions(actor: Person, user_id: str) -> httpx2.Response:
    return await proved(actor, "DELETE", f"/v1/admin/users/{user_id}/sessions")


async def proved(actor: Person, method: str, path: str, body: object = None) -> httpx2.Response:
    """Send a request, and give the password when a fresh factor is asked for."""
    send = actor.client.request
    asked = await send(method, path, json=body, headers=actor.headers)
    if asked.status_code != 403 or asked.json()["code"] != "step_up_required":
        return asked
    headers = actor.headers | {"Step-Up": await approved(actor, asked)}
    return await send(method, path, json=body, headers=headers)


async def approved(actor: Person, asked: httpx2.Response) -> str:
    """Give the password for what was asked, and return the id of the approval."""
    challenge = str(asked.json()["challenge"]["id"])
    proof = {"method": "password", "code": PASSWORD}
    await actor.post(f"/v1/auth/challenges/{challenge}/verify", proof)
    return challenge


async def test_asvs_8_3_2_a_new_role_is_in_force_at_once(
    guilder: Running, operator: Person
) -> None:
    person = await guilder.person()
    path = f"/v1/admin/users/{operator.user['id']}"
    assert (await person.get(path)).status_code == 403
    answer = await put_role(operator, person.user["id"], "support")
    assert (answer.status_code, answer.json()["role"]) == (200, "support")
    assert (await person.get("/v1/wallet")).status_code == 401
    person = await signed_in_with_factor(guilder, person)
    assert (await person.get(path)).status_code == 200
    await put_role(operator, person.user["id"], "user")
    assert (await person.get(path)).status_code == 401
    assert (await (await again(guilder, person)).get(path)).status_code == 403


async def test_a_key_may_no_more_than_its_users_role_also_when_that_changes(
    guilder: Running, operator: Person
) -> None:
    person = await guilder.person()
    key = (await api_key(guilder, person, GRANTABLE)).text
    asker = Person(guilder.client, person.user, key)
    assert (await asker.post("/v1/transfers", {})).status_code == 422
    await put_role(operator, person.user["id"], "support")
    async with asyncio.timeout(10):
        while (answer := await asker.post("/v1/transfers", {})).status_code == 422:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await asker.get("/v1/wallet")).status_code == 200


async def test_a_role_is_not_set_without_a_fresh_factor(guilder: Running, operator: Person) -> None:
    person = await guilder.person()
    path = f"/v1/admin/users/{person.user['id']}/role"
    answer = await operator.client.put(path, json={"role": "auditor"}, headers=operator.headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "step_up_required")
    assert (await person.get("/v1/wallet")).status_code == 200


async def test_asvs_2_3_5_nobody_sets_their_own_role(operator: Person) -> None:
    answer = await put_role(operator, operator.user["id"], "auditor")
    assert (answer.status_code, answer.json()["code"]) == (403, OwnRole.code)


async def test_a_role_that_there_is_not_and_a_user_that_there_is_not(operator: Person) -> None:
    answer = await put_role(operator, new_id("user"), "god")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    for user_id in (new_id("user"), "user_x"):
        answer = await put_role(operator, user_id, "support")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_asvs_7_4_5_operators_end_the_sessions_of_one_user_and_the_record_names_them(
    guilder: Running, operator: Person
) -> None:
    person, bystander = await guilder.person(), await guilder.person()
    held = [person, await again(guilder, person)]
    answer = await end_sessions(operator, person.user["id"])
    assert (answer.status_code, answer.headers["cache-control"]) == (204, "no-store")
    assert [(await each.get("/v1/wallet")).status_code for each in held] == [401, 401]
    for other in (bystander, operator, await again(guilder, person)):
        assert (await other.get("/v1/wallet")).status_code == 200
    path = f"/v1/admin/audit?subject={person.user['id']}&action=session.ended"
    events = (await operator.get(path)).json()["data"]
    told = {(each["actor"], each["details"]["because"]) for each in events}
    assert (len(events), told) == (2, {(operator.user["id"], "ended_by_staff")})
    assert (await end_sessions(operator, operator.user["id"])).status_code == 204
    assert (await operator.get("/v1/wallet")).status_code == 401


async def test_asvs_7_4_5_sessions_are_ended_by_operators_with_a_fresh_factor_alone(
    guilder: Running, operator: Person
) -> None:
    person = await guilder.person()
    path = f"/v1/admin/users/{person.user['id']}/sessions"
    others = [await staff(guilder, role) for role in (Role.SUPPORT, Role.AUDITOR)]
    for actor in (await guilder.person(), person, *others):
        answer = await end_sessions(actor, person.user["id"])
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    asked = await operator.client.delete(path, headers=operator.headers)
    assert (asked.status_code, asked.json()["code"]) == (403, "step_up_required")
    elsewhere = f"/v1/admin/users/{new_id('user')}/sessions"
    headers = operator.headers | {
        "Step-Up": await approved(
            operator, await operator.client.delete(elsewhere, headers=operator.headers)
        )
    }
    answer = await operator.client.delete(path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "step_up_refused")
    assert (await person.get("/v1/wallet")).status_code == 200
    for user_id in (new_id("user"), "user_x"):
        answer = await end_sessions(operator, user_id)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_asvs_14_2_6_staff_see_addresses_masked_and_the_look_is_recorded(
    guilder: Running,
) -> None:
    support, person = await staff(guilder, Role.SUPPORT), await guilder.person()
    answer = await support.get(f"/v1/admin/users/{person.user['id']}")
    assert answer.headers["cache-control"] == "no-store"
    shown = answer.json()
    assert shown["email"] == "p***@example.com"
    assert (shown["name"], shown["role"]) == ("Payer", "user")
    assert person.user["email"] not in answer.text
    auditor = await staff(guilder, Role.AUDITOR)
    found = (await auditor.get(f"/v1/admin/audit?subject={person.user['id']}&limit=1")).json()
    (event,) = found["data"]
    assert (event["action"], event["actor"]) == ("user.viewed", support.user["id"])
    assert event["address"] != "127.0.0.1"


async def test_the_record_is_read_in_pages_that_fit_together(guilder: Running) -> None:
    auditor, person = await staff(guilder, Role.AUDITOR), await guilder.person()
    for role in (Role.SUPPORT, Role.USER, Role.AUDITOR):
        await given_role(guilder, person.user["id"], role)
    path = f"/v1/admin/audit?subject={person.user['id']}&action=role.changed&limit=2"
    first = (await auditor.get(path)).json()
    assert (len(first["data"]), first["has_more"]) == (2, True)
    last = (await auditor.get(f"{path}&cursor={first['next_cursor']}")).json()
    assert (len(last["data"]), last["has_more"]) == (1, False)
    steps = [each["details"]["to"] for each in first["data"] + last["data"]]
    assert steps == ["auditor", "user", "support"]
    other = await auditor.get(f"/v1/admin/audit?limit=2&cursor={first['next_cursor']}")
    assert (other.status_code, other.json()["code"]) == (400, "cursor_mismatch")
    for wrong in ("limit=101", "actor=not%20an%20id", "since=yesterday", "unknown=1"):
        assert (await auditor.get(f"/v1/admin/audit?{wrong}")).status_code == 422


async def test_asvs_6_3_2_the_first_operator_is_made_by_one_command(
    guilder: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    person = await guilder.person()
    settings = guilder.settings
    assert settings.database_url is not None
    monkeypatch.setenv("GUILDER_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("GUILDER_DATA_DIRECTORY", str(settings.data_directory))

    def run(*words: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(words)
        return int(ended.value.code or 0)

    async def made(email: str) -> int:
        return await asyncio.to_thread(run, "users", "make-operator", email)

    assert await made("nobody@example.com") == ExitCode.WRONG
    assert await made("no address") == ExitCode.WRONG
    assert "Nobody has registered" in capsys.readouterr().err
    assert await made(person.user["email"].upper()) == ExitCode.DONE
    said = capsys.readouterr().out
    assert "is an operator" in said
    assert "second factor" in said
    async with asyncio.timeout(10):
        while (await person.get("/v1/wallet")).status_code != 401:  # noqa: ASYNC110 - as a client
            await asyncio.sleep(0.05)
    path = "/v1/admin/audit?limit=1"
    operator = await again(guilder, person)
    refused = await operator.get(path)
    code = SignedInWithoutSecondFactor.code
    assert (refused.status_code, refused.json()["code"]) == (403, code)
    operator = await with_app(operator)
    assert (await operator.get(path)).status_code == 200


async def with_app(person: Person) -> Person:
    """Set up an app and sign in with it, as the refusal says."""
    begun = (await proved(person, "POST", "/v1/factors/totp")).raise_for_status().json()

    def code(*, later: int) -> str:
        return code_at(begun["secret"], int(utc_now().timestamp()) // STEP_S + later)

    confirm = {"code": code(later=0)}
    (await person.post("/v1/factors/totp/confirm", confirm)).raise_for_status()
    who = {"email": person.user["email"], "password": PASSWORD}
    asked = await person.client.post("/v1/login", json=who)
    assert (asked.status_code, asked.json()["code"]) == (401, "second_factor_required")
    # Of the next half minute: that of this one is used up.
    proof = {"method": "totp", "code": code(later=1)}
    path = f"/v1/auth/challenges/{asked.json()['challenge']['id']}/verify"
    opened = (await person.client.post(path, json=proof)).raise_for_status().json()
    return Person(person.client, person.user, opened["access_token"])
