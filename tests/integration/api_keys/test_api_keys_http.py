"""`/v1/api-keys` as a client sees it, and what a program can do with a key."""

import asyncio
from datetime import timedelta

import pytest

from guilder.kernel.clock import rfc3339, utc_now
from tests.support.api_keys import PATH, Program, confirmed, made, program
from tests.support.http import Person, Running, running
from tests.support.late_money import balance, code, fund

BUDGET = {"money": [{"currency": "USD", "per": "day", "amount": 100}]}
DESTINATION = {"type": "bank_account", "token": "bank_ok"}
WANTED = {"api_name": "Web shop", "scopes": ["wallet:read"]}


async def answered(it: Program, status: int, path: str = "/v1/wallet") -> None:
    """Wait until a program is answered so: changes elsewhere take a moment."""
    async with asyncio.timeout(30):
        while True:
            if (await it.get(path)).status_code == status:
                return
            await asyncio.sleep(0.02)


async def test_made_shown_once_listed_and_deleted(guilder: Running) -> None:
    owner, other = await guilder.person(), await guilder.person()
    wanted = {
        **WANTED,
        "usage_limits": BUDGET | {"requests": {"per": "minute", "count": 60}},
        "addresses": ["127.0.0.0/8", "2001:db8::7"],
        "expires_at": rfc3339(utc_now() + timedelta(days=3)),
    }
    answer = await confirmed(owner, "POST", PATH, wanted)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    new = answer.json()
    assert new["usage_limits"] == wanted["usage_limits"]
    assert new["addresses"] == ["127.0.0.0/8", "2001:db8::/64"]
    assert new["expires_at"] == wanted["expires_at"]
    shown_once = new.pop("api_key")
    assert shown_once.startswith(new["key_prefix"])
    place = f"{PATH}/{new['api_key_id']}"
    assert (await owner.get(place)).json() == new
    second = await made(owner)
    page = (await owner.get(PATH + "?limit=1")).json()
    assert [each["api_key_id"] for each in page["data"]] == [second["api_key_id"]]
    page = (await owner.get(f"{PATH}?limit=1&cursor={page['next_cursor']}")).json()
    assert (page["data"], page["has_more"]) == ([new], False)
    for method in ("GET", "DELETE"):
        answer = await other.client.request(method, place, headers=other.headers)
        assert code(answer) == (404, "not_found")
    assert (await owner.client.delete(place, headers=owner.headers)).status_code == 204
    assert code(await owner.get(place)) == (404, "not_found")
    assert code(await owner.client.delete(place, headers=owner.headers)) == (404, "not_found")
    assert code(await Program(guilder.client, shown_once).get("/v1/wallet"))[0] == 401


async def test_a_program_pays_within_its_budget(guilder: Running) -> None:
    owner, payee = await guilder.person(), await guilder.person()
    await fund(guilder, owner, 1_000)
    scopes = ["wallet:read", "transfers:write", "holds:write", "payouts:write"]
    new = await made(owner, scopes=scopes, usage_limits=BUDGET)
    it = Program(guilder.client, new["api_key"])
    answers = await asyncio.gather(*(it.pay(payee, 30) for _ in range(64)))
    codes = [each.status_code for each in answers]
    assert (codes.count(201), codes.count(422)) == (3, 61)
    assert "`api_key_day`" in next(each.json()["detail"] for each in answers if each.is_error)
    to = {"email": payee.user["email"]}
    hold = {"amount": 11, "currency": "USD", "to": to}
    assert code(await it.ask("POST", "/v1/holds", hold)) == (422, "limit_exceeded")
    batch = {"mode": "independent", "items": [{"key": "one", **hold}]}
    answer = await it.ask("POST", "/v1/transfers/batch", batch)
    assert "limit_exceeded" in answer.text, answer.text
    asked = {"amount": 11, "currency": "USD", "from": {"email": owner.user["email"]}}
    request = (await payee.post("/v1/payment-requests", asked)).json()
    pay = f"/v1/payment-requests/{request['payment_request_id']}/pay"
    assert code(await it.ask("POST", pay)) == (422, "limit_exceeded")
    payout = {"amount": 11, "currency": "USD", "destination": DESTINATION}
    assert code(await it.ask("POST", "/v1/wallet/withdraw", payout)) == (422, "limit_exceeded")
    assert await balance(owner) == 910
    use = (await owner.get(f"{PATH}/{new['api_key_id']}/usage")).json()
    assert use["money"][0]["used"] == 90
    assert use["requests_total"] >= 66
    assert use["last_used_at"]
    assert [each["requests"] for each in use["days"]] == [use["requests_total"]]


async def test_a_quota_says_so_and_is_no_rate_limit(guilder: Running) -> None:
    owner = await guilder.person()
    limits = {"requests": {"per": "day", "count": 3}}
    new = await made(owner, usage_limits=limits)
    it = Program(guilder.client, new["api_key"])
    answers = await asyncio.gather(*(it.get("/v1/wallet") for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [200] * 3 + [429] * 5
    refused = next(each for each in answers if each.is_error)
    assert code(refused) == (429, "quota_exceeded")
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    use = (await owner.get(f"{PATH}/{new['api_key_id']}/usage")).json()
    assert (use["requests"]["count"], use["requests"]["used"]) == (3, 3)


async def test_a_key_is_lowered_at_once_and_raised_with_a_fresh_factor(guilder: Running) -> None:
    owner = await guilder.person()
    new = await made(owner, usage_limits=BUDGET)
    place = f"{PATH}/{new['api_key_id']}"

    async def change(**changes: object) -> tuple[int, str]:
        answer = await owner.client.patch(place, json=changes, headers=owner.headers)
        return answer.status_code, answer.json().get("code", "")

    less = {"money": [{"currency": "USD", "per": "day", "amount": 50}]}
    assert await change(api_name="Other", usage_limits=less) == (200, "")
    assert await change(addresses=["127.0.0.1"]) == (200, "")
    raising: list[dict[str, object]] = [
        {"usage_limits": BUDGET},
        {"usage_limits": {}},
        {"addresses": []},
    ]
    for more in raising:
        assert await change(**more) == (403, "step_up_required")
    shown = (await owner.get(place)).json()
    assert (shown["api_name"], shown["usage_limits"]["money"]) == ("Other", less["money"])
    raised = await confirmed(owner, "PATCH", place, {"usage_limits": BUDGET})
    assert raised.json()["usage_limits"]["money"] == BUDGET["money"]


async def test_a_rotated_key_has_two_secrets_for_a_while(guilder: Running) -> None:
    owner = await guilder.person()
    new = await made(owner)
    place = f"{PATH}/{new['api_key_id']}/rotate"
    answer = await confirmed(owner, "POST", place, {"overlap_s": 60})
    second = answer.json()
    programs = [Program(guilder.client, each["api_key"]) for each in (new, second)]
    assert [(await each.get("/v1/wallet")).status_code for each in programs] == [200, 200]
    third = (await confirmed(owner, "POST", place, {"overlap_s": 0})).json()
    programs.append(Program(guilder.client, third["api_key"]))
    assert [(await each.get("/v1/wallet")).status_code for each in programs] == [401, 401, 200]
    assert len({new["api_key_id"], second["api_key_id"], third["api_key_id"]}) == 1


async def test_the_same_request_makes_one_key(guilder: Running) -> None:
    owner = await guilder.person()
    headers = {"Idempotency-Key": "one key"}
    first = await confirmed(owner, "POST", PATH, WANTED, **headers)
    again = await owner.client.post(PATH, json=WANTED, headers=owner.headers | headers)
    assert code(again) == (409, "api_key_already_made")
    assert first.json()["api_key_id"] in again.json()["detail"]


WRONG: list[dict[str, object]] = [
    {"api_name": " "},
    {"api_name": "two\nlines"},
    {"scopes": []},
    {"scopes": ["api_keys:write"]},
    {"scopes": ["security:write"]},
    {"scopes": ["schedules:write"]},
    {"scopes": ["everything"]},
    {"expires_at": "2020-01-01T00:00:00Z"},
    {"expires_at": "2099-01-01T00:00:00Z"},
    {"addresses": ["everywhere"]},
    {"addresses": ["2001:db8::/96"]},
    {"usage_limits": {"requests": {"per": "hour", "count": 1}}},
    {"usage_limits": {"requests": {"per": "day", "count": 0}}},
    {"usage_limits": {"money": [{"currency": "XXQ", "per": "day", "amount": 1}]}},
    {"usage_limits": {"money": BUDGET["money"] * 2}},
    {"user_id": "user_01h455vb4pex5vsknk084sn02q"},
]


async def test_what_no_key_may_be(guilder: Running) -> None:
    owner = await guilder.person()
    for wrong in WRONG:
        answer = await owner.post(PATH, WANTED | wrong)
        assert code(answer) == (422, "invalid"), wrong
        assert answer.json()["errors"]


async def test_a_user_has_so_many_keys_and_no_more(
    guilder: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guilder.api_keys.service.KEYS_MAX", 1)
    owner = await guilder.person()
    first = await made(owner)
    assert code(await owner.post(PATH, WANTED)) == (409, "too_many_api_keys")
    place = f"{PATH}/{first['api_key_id']}"
    assert (await owner.client.delete(place, headers=owner.headers)).status_code == 204
    await made(owner)


async def test_another_process_learns_of_new_changed_and_deleted_keys(
    guilder: Running,
) -> None:
    owner = await guilder.person()
    theirs = guilder.settings.model_dump() | {"port": 0}
    async with running(**theirs) as elsewhere:
        there = Person(elsewhere.client, owner.user, owner.token)
        it = await program(there)
        here = Program(guilder.client, it.api_key)
        assert (await here.get("/v1/wallet")).status_code == 200
        (key,) = (await there.get(PATH)).json()["data"]
        place = f"{PATH}/{key['api_key_id']}"
        none = {"addresses": ["192.0.2.1"]}
        changed = await there.client.patch(place, json=none, headers=there.headers)
        assert changed.status_code == 200
        started = asyncio.get_running_loop().time()
        await answered(here, 403)
        assert asyncio.get_running_loop().time() - started < 5, "half a second, but for load"
        await there.client.delete(place, headers=there.headers)
        await answered(here, 401)
