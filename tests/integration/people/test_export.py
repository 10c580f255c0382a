"""The copy: everything about its owner, nothing secret, nothing about others."""

import json
from typing import Any

from guilder.kernel.ids import UserId, WalletId
from guilder.privacy.holdings import HOLDINGS
from guilder.privacy.reader import Person as Subject
from tests.support.holdings import MADE_BY_REGISTERING, mark, seed
from tests.support.http import Person, Running
from tests.support.late_money import fund
from tests.support.spenders import order

PATH = "/v1/users/me/export"


def subject(person: Person) -> Subject:
    return Subject(user_id=UserId(person.user["id"]), wallet_id=WalletId(person.user["wallet_id"]))


async def exported(person: Person) -> dict[str, Any]:
    answer = await person.get(PATH)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_everything_that_is_kept_is_in_the_copy(guilder: Running) -> None:
    state = guilder.app.state
    person, other = await guilder.person(), await guilder.person()
    seeded = await seed(state.storage, state.vault, subject(person), "mine")
    others = await seed(state.storage, state.vault, subject(other), "others")
    copy = await exported(person)
    text = json.dumps(copy)
    for holding in HOLDINGS:
        rows = copy[holding.section]
        if holding.model.collection in MADE_BY_REGISTERING:
            assert len(rows) == 1
            continue
        document = seeded[holding.section]
        if holding.shows_id:
            assert document.id in {row["id"] for row in rows}, holding.section
            assert others[holding.section].id not in {row["id"] for row in rows}
        for field in holding.model.__struct_fields__:
            said = mark("mine", holding, field)
            value = getattr(document, field)
            if field in holding.shown and (said in repr(value) or field in document.sealed):
                assert said in text, f"{holding.section} has no {field}"
            if field not in holding.shown:
                assert said not in text, f"{holding.section} shows {field}"
    assert "mark-others" not in text
    assert copy["user"][0]["email"] == person.user["email"]
    assert other.user["email"] not in text


async def test_the_history_shows_of_others_what_statements_show(guilder: Running) -> None:
    person, other = await guilder.person(), await guilder.person()
    await fund(guilder, person, 500)
    for amount in range(1, 4):
        (await person.post("/v1/transfers", order(other, amount))).raise_for_status()
    copy = await exported(person)
    lines = (await person.get("/v1/transactions?limit=100")).json()["data"]
    assert copy["transactions"] == lines
    assert [each["posted"] for each in copy["balances"]] == [494]
    assert other.user["email"] not in json.dumps(copy)


async def test_it_is_a_file_that_is_kept_nowhere(guilder: Running) -> None:
    person = await guilder.person()
    answer = await person.get(PATH)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert answer.json()["format"] == "guilder.personal-data"
    assert (await guilder.client.get(PATH)).status_code == 401
