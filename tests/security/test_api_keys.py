"""Row 72 of the security table: keys are shown once, stored hashed, limited, and open little."""

import re
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from guilder.api_keys.known_keys import KnownKeys
from guilder.api_keys.models import ApiKey, ApiKeySecret
from guilder.api_keys.quotas import Quotas
from guilder.api_keys.reader import ApiKeyReader
from guilder.api_keys.rules import Mode, key_digest, write_key
from guilder.audit.trail import Search
from guilder.identity.roles import GRANTABLE
from guilder.kernel.clock import utc_now
from guilder.kernel.ids import UserId
from tests.support.api_keys import PATH, Program, confirmed, made, program
from tests.support.http import PASSWORD, Person, Running
from tests.support.late_money import code, fund
from tests.support.shared_guilder import Start

KEY = re.compile(r"glk_(test|live)_[0-9A-Za-z]{49}")


async def whole(guilder: Running) -> tuple[Person, Program]:
    """Return somebody with a key that may do all that a key may."""
    owner = await guilder.person()
    return owner, await program(owner, scopes=sorted(GRANTABLE))


async def test_row_72_a_key_is_shown_once_and_stored_as_a_hash(guilder: Running) -> None:
    owner = await guilder.person()
    new = await made(owner)
    text, key_id = new["api_key"], new["api_key_id"]
    assert KEY.fullmatch(text), "scanners of secrets know it by this"
    for path in (PATH, f"{PATH}/{key_id}", f"{PATH}/{key_id}/usage", "/v1/users/me/export"):
        assert text not in (await owner.get(path)).text, path
    storage = guilder.app.state.storage
    stored = [
        await storage.documents(ApiKey).get(key_id),
        await storage.documents(ApiKeySecret).get(key_digest(text)),
    ]
    assert all(stored)
    assert text[14:] not in repr(stored)


async def test_row_72_a_key_says_nothing_in_logs(
    guilder: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    _, it = await whole(guilder)
    assert (await it.get("/v1/wallet")).status_code == 200
    said = capsys.readouterr()
    assert it.api_key not in said.out + said.err


async def test_row_72_a_key_neither_manages_keys_nor_security(guilder: Running) -> None:
    _, it = await whole(guilder)
    wanted = {"api_name": "Another", "scopes": ["wallet:read"]}
    refused: list[tuple[str, str, Any]] = [
        ("POST", PATH, wanted),
        ("GET", PATH, None),
        ("GET", PATH + "/key_01h455vb4pex5vsknk084sn02q", None),
        ("PATCH", PATH + "/key_01h455vb4pex5vsknk084sn02q", {}),
        ("DELETE", PATH + "/key_01h455vb4pex5vsknk084sn02q", None),
        ("POST", PATH + "/key_01h455vb4pex5vsknk084sn02q/rotate", {}),
        ("GET", "/v1/factors", None),
        ("POST", "/v1/factors/totp", None),
        (
            "POST",
            "/v1/users/me/password",
            {"current_password": PASSWORD, "new_password": PASSWORD + " too"},
        ),
    ]
    for method, path, body in refused:
        assert code(await it.ask(method, path, body)) == (403, "forbidden"), (method, path)


async def test_row_72_a_key_does_only_what_its_scopes_say(guilder: Running) -> None:
    owner, payee = await guilder.person(), await guilder.person()
    await fund(guilder, owner, 100)
    reads = await program(owner, scopes=["wallet:read"])
    pays = await program(owner, scopes=["transfers:write"])
    assert (await reads.get("/v1/wallet")).status_code == 200
    assert code(await reads.pay(payee, 1)) == (403, "forbidden")
    assert code(await pays.get("/v1/wallet")) == (403, "forbidden")
    assert (await pays.pay(payee, 1)).status_code == 201


async def test_row_72_making_and_rotating_ask_for_a_fresh_factor(guilder: Running) -> None:
    owner = await guilder.person()
    new = await made(owner)
    wanted = {"api_name": "Web shop", "scopes": ["wallet:read"]}
    rotate = f"{PATH}/{new['api_key_id']}/rotate"
    for path, body in ((PATH, wanted), (rotate, {"overlap_s": 5})):
        assert code(await owner.post(path, body)) == (403, "step_up_required")
    # What was approved is what is made: no scope more.
    asked = await owner.post(PATH, wanted)
    challenge = asked.json()["challenge"]["id"]
    proof = {"method": "password", "code": PASSWORD}
    await owner.post(f"/v1/auth/challenges/{challenge}/verify", proof)
    more = {**wanted, "scopes": ["wallet:read", "payouts:write"]}
    headers = owner.headers | {"Step-Up": challenge}
    answer = await owner.client.post(PATH, json=more, headers=headers)
    assert code(answer) == (403, "step_up_refused")
    assert len((await owner.get(PATH)).json()["data"]) == 1


async def test_row_72_test_and_live_never_mix(guilder: Running) -> None:
    owner = await guilder.person()
    storage, now = guilder.app.state.storage, utc_now()
    new = await made(owner)
    # A live key in this very database: as if a copy of production were tried out here.
    text = write_key(Mode.LIVE, bytes(range(32)))
    secret = ApiKeySecret(
        id=key_digest(text), key_id=new["api_key_id"], created_at=now, updated_at=now
    )
    await storage.documents(ApiKeySecret).insert(secret)
    refused = await Program(guilder.client, text).get("/v1/wallet")
    unknown = await Program(guilder.client, write_key(Mode.TEST, bytes(32))).get("/v1/wallet")
    for answer in (refused, unknown):
        assert code(answer) == (401, "unauthenticated")
    without = {"request_id"}
    assert {k: v for k, v in refused.json().items() if k not in without} == {
        k: v for k, v in unknown.json().items() if k not in without
    }


async def test_row_72_an_expired_key_opens_nothing(guilder: Running) -> None:
    owner = await guilder.person()
    new = await made(owner)
    keys = guilder.app.state.storage.documents(ApiKey)
    stored = await keys.get(new["api_key_id"])
    await keys.replace(replace(stored, expires_at=utc_now() - timedelta(seconds=1)))
    answer = await Program(guilder.client, new["api_key"]).get("/v1/wallet")
    assert code(answer) == (401, "unauthenticated")


async def test_row_72_a_key_is_used_from_its_addresses_only(start: Start) -> None:
    async with start(trusted_proxies=["127.0.0.1"]) as guilder:
        owner = await guilder.person()
        blocks = ["203.0.113.0/24", "2001:db8::/32"]
        it = await program(owner, scopes=["wallet:read"], addresses=blocks)

        async def from_(address: str) -> tuple[int, str]:
            answer = await it.get("/v1/wallet", **{"X-Forwarded-For": address})
            return answer.status_code, answer.json().get("code", "")

        assert await from_("203.0.113.9") == (200, "")
        assert await from_("2001:db8:1::9") == (200, "")
        for address in ("198.51.100.1", "2001:db9::1", "not an address"):
            assert await from_(address) == (403, "address_not_allowed")
        # What an untrusted client writes before the proxy's word is not believed.
        assert (await from_("203.0.113.9, 198.51.100.1"))[0] == 403
        found = await guilder.app.state.audit.search(
            Search(subject=owner.user["id"], action="api_key.refused")
        )
        assert len(found) == 3, "once for each address, not for each request"


async def test_row_72_every_change_is_recorded_and_a_new_key_is_told(guilder: Running) -> None:
    owner = await guilder.person()
    new = await made(owner)
    place = f"{PATH}/{new['api_key_id']}"
    await owner.client.patch(place, json={"api_name": "Other"}, headers=owner.headers)
    await confirmed(owner, "POST", place + "/rotate", {})
    await owner.client.delete(place, headers=owner.headers)
    found = await guilder.app.state.audit.search(Search(subject=owner.user["id"]))
    said = [each.event.action for each in reversed(found)]
    said = [each for each in said if each.startswith("api_key.")]
    assert said == ["api_key.created", "api_key.changed", "api_key.rotated", "api_key.revoked"]
    params = {"to": owner.user["email"]}
    letters = await guilder.client.get("/mailbox.json", params=params)
    assert any(each["template"] == "api_key_created" for each in letters.json()["data"])


async def test_a_role_that_changes_takes_the_key_with_it(guilder: Running) -> None:
    owner = await guilder.person()
    it = await program(owner, scopes=["wallet:read", "transfers:write"])
    assert (await it.get("/v1/wallet")).status_code == 200
    state = guilder.app.state
    user = await state.identity.get_user(UserId(owner.user["id"]))
    support = replace(user, role="support").with_rights_changed(utc_now())
    state.identity.rights_changed(await state.storage.documents(type(user)).replace(support))
    answer = await it.pay(owner, 1)
    assert code(answer) == (403, "forbidden"), "support moves no money, with a key neither"


async def test_refused_requests_cost_no_quota(guilder: Running) -> None:
    state = guilder.app.state
    counted: list[str] = []

    class Counting(Quotas):
        async def take(self, key: ApiKey) -> None:
            counted.append(key.id)

    reader = ApiKeyReader(
        KnownKeys(state.storage, clock=state.clock),
        Counting(state.storage, clock=state.clock),
        mode=Mode.TEST,
        audit=state.audit,
        clock=state.clock,
        is_outdated=lambda _user, _version: False,
    )
    owner = await guilder.person()
    new = await made(owner, addresses=["192.0.2.1"])
    original = state.authenticator._by_prefix["glk_"]
    state.authenticator._by_prefix["glk_"] = reader
    try:
        assert code(await Program(guilder.client, new["api_key"]).get("/v1/wallet"))[0] == 403
        assert code(await Program(guilder.client, "glk_test_x").get("/v1/wallet"))[0] == 401
    finally:
        state.authenticator._by_prefix["glk_"] = original
    assert counted == []
