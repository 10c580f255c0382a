"""`/v1/schedules` as a client sees it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from guilder.kernel.clock import rfc3339, utc_now
from guilder.kernel.ids import new_id
from tests.support.http import Person, Running
from tests.support.late_money import balance, code, fund

PATH = "/v1/schedules"


def body(recipient: Person, **changes: object) -> dict[str, Any]:
    return {
        "amount": 100,
        "currency": "USD",
        "to": {"email": recipient.user["email"]},
        "start_at": "2030-01-31T09:00:00+02:00",
        **changes,
    }


async def test_make_show_list_and_cancel(guilder: Running) -> None:
    sender, recipient = await guilder.person(), await guilder.person()
    wanted = body(recipient, every="month", count=12, description="Rent")
    first = await sender.post(PATH, wanted, key="rent")
    assert first.status_code == 201, first.text
    made = first.json()
    place = f"{PATH}/{made['schedule_id']}"
    assert (made["start_at"], made["next_at"]) == ("2030-01-31T07:00:00.000Z",) * 2
    assert (await sender.get(place)).json() == made
    others = [(await sender.post(PATH, body(recipient))).json() for _ in range(2)]
    found, path = [], PATH + "?limit=2"
    page = (await sender.get(path)).json()
    found += page["data"]
    page = (await sender.get(f"{path}&cursor={page['next_cursor']}")).json()
    found += page["data"]
    assert {each["schedule_id"] for each in found} == {
        each["schedule_id"] for each in (made, *others)
    }
    times = [each["created_at"] for each in found]
    assert times == sorted(times, reverse=True)
    done = await sender.post(place + "/cancel", None)
    assert (done.status_code, done.json()["status"], done.json()["next_at"]) == (
        200,
        "cancelled",
        None,
    )
    assert (await sender.post(place + "/cancel", None)).content == done.content
    again = await sender.post(PATH, wanted, key="rent")
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    changed = await sender.post(PATH, {**wanted, "amount": 1}, key="rent")
    assert code(changed) == (422, "idempotency_key_reused")
    for schedule_id in (made["schedule_id"], new_id("schedule"), "nonsense"):
        for path in ("", "/occurrences"):
            answer = await recipient.get(f"{PATH}/{schedule_id}{path}")
            assert code(answer) == (404, "not_found")
        answer = await recipient.post(f"{PATH}/{schedule_id}/cancel", None)
        assert code(answer) == (404, "not_found")


async def test_the_running_server_pays_what_is_due(guilder: Running) -> None:
    sender, recipient = await guilder.person(), await guilder.person()
    await fund(guilder, sender, 1_000)
    soon = rfc3339(utc_now() + timedelta(seconds=1))
    made = (await sender.post(PATH, body(recipient, start_at=soon))).json()
    place = f"{PATH}/{made['schedule_id']}"
    async with asyncio.timeout(20):
        while (await sender.get(place)).json()["status"] != "completed":
            guilder.app.state.schedules._runner.wake()
            await asyncio.sleep(0.05)
    (done,) = (await sender.get(place + "/occurrences")).json()["data"]
    line = (await recipient.get(f"/v1/transactions/{done['transaction_id']}")).json()
    assert (line["type"], line["amount"], line["category"]) == (
        "credit",
        100,
        "scheduled_transfer",
    )
    assert [await balance(sender), await balance(recipient)] == [900, 100]
    assert code(await sender.post(place + "/cancel", None)) == (409, "schedule_ended")


async def test_what_is_refused(guilder: Running) -> None:
    sender, recipient = await guilder.person(), await guilder.person()
    changes: list[dict[str, Any]] = [
        {"amount": 0},
        {"every": "year"},
        {"every": "day", "count": 0},
        {"every": "day", "count": 1_001},
        {"count": 2},
        {"start_at": "2020-01-01T00:00:00Z"},
        {"start_at": "2030-01-01T00:00:00"},
        {"start_at": None},
        {"every": "day", "until": "9999-12-31T23:59:59-12:00"},
        {"at": "noon"},
    ]
    for change in changes:
        answer = await sender.post(PATH, body(recipient, **change))
        assert code(answer) == (422, "invalid"), change
    himself = await sender.post(PATH, body(sender))
    assert code(himself) == (422, "same_account")
    bare = await sender.client.post(PATH, json=body(recipient), headers=sender.headers)
    assert code(bare) == (400, "idempotency_key_required")
    assert code(await sender.get(PATH + "?wallet=1")) == (422, "invalid")
    assert code(await sender.client.get(PATH)) == (401, "unauthenticated")


@pytest.mark.parametrize("path", ["", "/{schedule_id}", "/{schedule_id}/occurrences"])
async def test_it_is_documented(guilder: Running, path: str) -> None:
    paths = (await guilder.client.get("/openapi.json")).json()["paths"]
    assert {"200", "401"} <= set(paths[PATH + path]["get"]["responses"])
