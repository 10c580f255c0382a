"""Passkeys that lie in one point are refused, and nobody learns in which: T36; ASVS 6.3.3, 6.3.8.

ASVS 6.6.2 (a challenge is bound to what it was asked for) and 6.5.5 (it ends soon) are in
`tests/integration/identity/test_passkeys.py`, where the clock can be moved.
"""

from typing import Any

import msgspec
import pytest

from guilder.audit.models import AuditEvent
from guilder.identity.models import Session
from guilder.storage.base import Range
from tests.support.http import PASSWORD, Running
from tests.support.passkey_people import (
    FACTORS,
    MAKING,
    SIGN_IN,
    Holder,
    confirmed,
    holder,
    origin_of,
    shown,
    sign_in_options,
    told,
)
from tests.support.passkeys import PRESENT, VERIFIED, SoftDevice, encoded

NEVER = "passkey_01h455vb4pex5vsknk084sn02q"
NOBODY = "user_01h2xcejqtf2nbrexx3vqjhp41"
LIES: dict[str, tuple[str, dict[str, Any]]] = {
    "another page": ("answer", {"client_data": {"origin": "https://evil.example"}}),
    "a name under ours": ("answer", {"client_data": {"origin": "http://evil.localhost"}}),
    "another port": ("answer", {"client_data": {"origin": "http://localhost:1"}}),
    "inside another page": ("answer", {"client_data": {"crossOrigin": True}}),
    "another relying party": ("answer", {"rp_id": "evil.example"}),
    "user not verified": ("answer", {"flags": PRESENT}),
    "user not present": ("answer", {"flags": VERIFIED}),
    "made, not shown": ("answer", {"client_data": {"type": "webauthn.create"}}),
    "another signature": ("answer", {"response": {"signature": encoded(b"0" * 70)}}),
    "another challenge": ("challenge", {"client_data": {"challenge": encoded(bytes(32))}}),
    "another user": ("owner", {"response": {"userHandle": encoded(NOBODY.encode())}}),
    "no user": ("owner", {"response": {"userHandle": None}}),
    "an unknown passkey": ("unknown", {"credential": {"id": "AAAA", "rawId": "AAAA"}}),
    "an older count": ("count", {"count": 1}),
}
"""What is not true, why it is refused as our record says, and how it is told."""


async def sessions_of(guilder: Running, one: Holder) -> int:
    sessions = guilder.app.state.storage.documents(Session)
    mine = await sessions.page(
        {"user_id": one.person.user["id"]}, within=Range(field="created_at"), limit=100
    )
    return len([each for each in mine if each.revoked_at is None])


async def test_asvs_6_3_3_a_passkey_signs_in_alone_and_is_a_second_factor(
    guilder: Running,
) -> None:
    one = await holder(guilder)
    assert len(one.recovery_codes) == 10
    answer = await shown(guilder.client, one.device.show(await sign_in_options(guilder.client)))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["user"]["id"] == one.person.user["id"]
    who = {"email": one.person.user["email"], "password": PASSWORD}
    asked = await guilder.client.post("/v1/login", json=who)
    assert (asked.status_code, asked.json()["code"]) == (401, "second_factor_required")
    assert asked.json()["challenge"]["methods"] == ["passkey", "recovery_code"]
    path = f"/v1/auth/challenges/{asked.json()['challenge']['id']}"
    options = (await guilder.client.post(f"{path}/passkey")).json()["public_key"]
    body = {"method": "passkey", "assertion": one.device.show(options)}
    opened = await guilder.client.post(f"{path}/verify", json=body)
    assert opened.status_code == 200, opened.text
    assert opened.json()["user"]["id"] == one.person.user["id"]
    again = await guilder.client.post(f"{path}/passkey")
    assert (again.status_code, again.json()["code"]) == (410, "challenge_ended")


async def reasons(guilder: Running) -> list[str]:
    """Return why sign-ins were refused, as it was recorded, in order."""
    events = guilder.app.state.storage.documents(AuditEvent)
    found = await events.page(
        {"action": "sign_in.refused"}, within=Range(field="created_at"), limit=1000
    )
    return [each.details["because"] for each in found if each.details.get("way") == "passkey"]


async def test_t36_every_lie_of_a_passkey_is_refused_alike(guilder: Running) -> None:
    one = await holder(guilder)
    client, before = guilder.client, len(await reasons(guilder))
    assert (await shown(client, one.device.show(await sign_in_options(client)))).status_code == 200
    sessions = await sessions_of(guilder, one)
    answers = {}
    for name, (_, lies) in LIES.items():
        answers[name] = await shown(client, one.device.show(await sign_in_options(client), **lies))
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(
        LIES, 401
    )
    assert dict(zip(LIES, (await reasons(guilder))[before:], strict=True)) == {
        name: because for name, (because, _) in LIES.items()
    }
    # Only our record says which it was.
    assert len({msgspec.json.encode(told(answer)) for answer in answers.values()}) == 1
    assert told(answers["no user"])["code"] == "passkey_refused"
    assert await sessions_of(guilder, one) == sessions
    assert (await shown(client, one.device.show(await sign_in_options(client)))).status_code == 200


async def test_t36_what_was_shown_once_and_what_others_show_is_refused(guilder: Running) -> None:
    one, other = await holder(guilder), await holder(guilder)
    client, before = guilder.client, len(await reasons(guilder))
    used = one.device.show(await sign_in_options(client))
    assert (await shown(client, used)).status_code == 200
    sessions = await sessions_of(guilder, one)
    handle = {"userHandle": used["response"]["userHandle"]}
    names = {"id": used["id"], "rawId": used["id"]}
    of_other = other.device.show(await sign_in_options(client), response=handle)
    as_one = other.device.show(
        await sign_in_options(client), response=handle, credential=names, count=60
    )
    for lie in (used, of_other, as_one):
        answer = await shown(client, lie)
        assert (answer.status_code, answer.json()["code"]) == (401, "passkey_refused")
    assert (await reasons(guilder))[before:] == ["challenge", "owner", "answer"]
    assert await sessions_of(guilder, one) == sessions


async def test_t36_a_passkey_is_made_only_where_its_user_is_verified(guilder: Running) -> None:
    person = await guilder.person()
    device = SoftDevice(origin=origin_of(guilder))
    for lies in (
        LIES["another page"][1],
        LIES["inside another page"][1],
        LIES["another relying party"][1],
        LIES["user not verified"][1],
        LIES["another challenge"][1],
        {"client_data": {"type": "webauthn.get"}},
    ):
        options = await confirmed(person, "POST", MAKING)
        made = device.make(options.json()["public_key"], **lies)
        answer = await person.post(FACTORS, {"name": "Telephone", "credential": made})
        assert (answer.status_code, answer.json()["code"]) == (422, "passkey_not_made"), lies
    assert (await person.get(FACTORS)).json() == {"data": []}


async def test_asvs_6_3_8_options_name_nobody(guilder: Running) -> None:
    await holder(guilder)
    options = await sign_in_options(guilder.client)
    challenge = options.pop("challenge")
    assert len(challenge) == 43
    assert options == {
        "rpId": "localhost",
        "timeout": 300_000,
        "allowCredentials": [],
        "userVerification": "required",
    }
    for path in ("challenge_01h455vb4pex5vsknk084sn02q", "nonsense"):
        answer = await guilder.client.post(f"/v1/auth/challenges/{path}/passkey")
        assert (answer.status_code, answer.json()["code"]) == (410, "challenge_ended")


async def test_asvs_7_5_1_passkeys_are_added_and_removed_after_a_step_up(
    guilder: Running,
) -> None:
    one, other = await holder(guilder), await holder(guilder)
    mine = f"{FACTORS}/{one.passkey['id']}"
    for passkey_id in (other.passkey["id"], NEVER):
        path = f"{FACTORS}/{passkey_id}"
        answer = await confirmed(one.person, "DELETE", path, device=one.device)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        renamed = await one.person.client.patch(
            path, json={"name": "Mine"}, headers=one.person.headers
        )
        assert (renamed.status_code, renamed.json()["code"]) == (404, "not_found")
    renamed = await one.person.client.patch(
        mine, json={"name": "Old telephone"}, headers=one.person.headers
    )
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Old telephone")
    asked = await one.person.post(MAKING, None)
    # Who has a second factor gives that, and no password.
    assert asked.json()["challenge"]["methods"] == ["passkey", "recovery_code"]
    removed = await confirmed(one.person, "DELETE", mine, device=one.device)
    assert removed.status_code == 204, removed.text
    assert (await one.person.get(FACTORS)).json() == {"data": []}
    refused = await shown(guilder.client, one.device.show(await sign_in_options(guilder.client)))
    assert refused.status_code == 401


async def test_a_confirmation_is_for_one_passkey(guilder: Running) -> None:
    one = await holder(guilder)
    person = one.person
    refused = await person.client.delete(f"{FACTORS}/{NEVER}", headers=person.headers)
    path = f"/v1/auth/challenges/{refused.json()['challenge']['id']}"
    options = (await person.post(f"{path}/passkey", None)).json()["public_key"]
    body = {"method": "passkey", "assertion": one.device.show(options)}
    approved = (await person.post(f"{path}/verify", body)).raise_for_status().json()
    headers = {**person.headers, "Step-Up": approved["challenge_id"]}
    mine = f"{FACTORS}/{one.passkey['id']}"
    answer = await person.client.delete(mine, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "step_up_refused")
    assert len((await person.get(FACTORS)).json()["data"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"credential": {}},
        {"credential": None},
        {"credential": {"id": "a+b", "rawId": "a+b", "type": "public-key", "response": {}}},
        {"credential": {"id": "AAAA", "rawId": "AAAA", "type": "password", "response": {}}},
        {"credential": {"id": "A" * 1400, "rawId": "AAAA", "type": "public-key"}},
        {"user_id": "user_01h2xcejqtf2nbrexx3vqjhp41"},
    ],
    ids=range(7),
)
async def test_what_is_no_credential_is_an_invalid_request(
    guilder: Running, body: dict[str, Any]
) -> None:
    answer = await guilder.client.post(f"{SIGN_IN}/verify", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_refused_sign_ins_are_recorded_without_what_was_sent(guilder: Running) -> None:
    one = await holder(guilder)
    options = await sign_in_options(guilder.client)
    await shown(guilder.client, one.device.show(options, flags=PRESENT))
    recorded = await guilder.app.state.storage.documents(AuditEvent).page(
        {"subject": one.person.user["id"]}, within=Range(field="created_at"), limit=100
    )
    (refusal,) = [each for each in recorded if each.action == "sign_in.refused"]
    assert refusal.details == {"way": "passkey", "because": "answer"}
    assert refusal.address is not None
