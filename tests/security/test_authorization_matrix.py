"""Every operation, whoever asks for whatever: the rows are in `authorization_table`, and who asks
and what there is in `authorization_world`. An operation without a row fails.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from guilder.identity.permissions import (
    GRANTABLE,
    PUBLIC,
    ROLE_PERMISSIONS,
    Permission,
    Role,
    RouteAccess,
    access_of,
)
from guilder.identity.roles import STAFF_ONLY
from guilder.kernel.ids import new_id
from tests.support.authorization_objects import MAKERS, there_is
from tests.support.authorization_table import TABLE, Row, row_of
from tests.support.authorization_world import STAFF, World, make_world
from tests.support.http import Running

MASS = {
    "role": "operator",
    "balance": 1,
    "user_id": "user_x",
    "status": "paid",
    "kyc_level": "full",
}
"""ASVS 15.3.3, T21: what nobody sets by naming it."""
WITHOUT_FACTOR = "signed_in_without_second_factor"


@pytest.fixture(scope="module")
async def made(guilder: Running) -> AsyncIterator[World]:
    transport = httpx2.ASGITransport(app=guilder.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://matrix") as client:
        yield await make_world(guilder, client)


@pytest.fixture
async def world(made: World) -> World:
    # While tests ran that have no loop, nothing was read of ended sessions: nobody was let in.
    async with asyncio.timeout(20):
        while (await made.own.get("/v1/wallet")).status_code == 503:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return made


def routes(running: Running) -> Iterator[RouteAccess]:
    """Return what the application itself says it has, one for each operation."""
    seen = set[str]()
    for route in access_of(running.app.routes):
        if route.methods and operation_of(route) not in seen:
            seen.add(operation_of(route))
            yield route


def operation_of(route: RouteAccess) -> str:
    method = next(each for each in route.methods if each != "HEAD")
    return f"{method} {route.path}"


def cases(running: Running) -> list[tuple[str, Row]]:
    """Return every operation that has a row; another test fails for the others."""
    found = [(operation, row_of(operation)) for operation in map(operation_of, routes(running))]
    return [(operation, row) for operation, row in found if row is not None]


def guarded(running: Running) -> list[tuple[str, Row, Permission]]:
    return [
        (operation, row, Permission(row.access))
        for operation, row in cases(running)
        if row.access != PUBLIC
    ]


def body_of(running: Running, operation: str) -> Any:
    """Return the example that the API's description gives, or nothing where there is no body."""
    method, _, path = operation.partition(" ")
    document = running.app.openapi()
    described = document["paths"].get(path, {}).get(method.lower(), {})
    content = described.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    schema = content["schema"]
    if "anyOf" in schema:
        schema = next(each for each in schema["anyOf"] if each.get("type") != "null")
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return (schema.get("examples") or [_from_parts(schema)])[0]


def refusals(running: Running, operation: str) -> set[str]:
    """Return the codes that the API's description has for 403."""
    method, _, path = operation.partition(" ")
    described = running.app.openapi()["paths"][path][method.lower()]["responses"]["403"]
    return set(described["content"]["application/problem+json"]["examples"])


def _from_parts(schema: dict[str, Any]) -> dict[str, Any]:
    """Return an example of what a body must have, of those of its fields."""
    parts = schema.get("properties", {})
    return {
        name: (parts[name].get("examples") or parts[name].get("enum") or [None])[0]
        for name in schema.get("required", ())
    }


def code_of(answer: httpx2.Response) -> str | None:
    """Return the code of a refusal."""
    if answer.headers.get("content-type") != "application/problem+json":
        return None
    return str(answer.json()["code"])


def plain(answer: httpx2.Response, named: str) -> tuple[int, str]:
    """Return an answer without the name of the request and what it asked for itself."""
    text = answer.text.replace(named, "<id>")
    if code_of(answer) is not None:
        body = json.loads(text)
        body.pop("request_id")
        text = json.dumps(body)
    return answer.status_code, text


def missing(like: str) -> str:
    """Return an id of the same kind that nothing has."""
    return new_id(like.rpartition("_")[0])


def is_let_through(answer: httpx2.Response) -> bool:
    refused = {"unauthenticated", "forbidden", WITHOUT_FACTOR}
    return answer.status_code < 500 and code_of(answer) not in refused


def told(operation: str, who: str, answer: httpx2.Response) -> str:
    return f"{operation}, {who}: {answer.status_code} {code_of(answer)}"


def test_asvs_8_2_1_every_operation_has_a_row_that_says_what_it_declares(guilder: Running) -> None:
    wrong = []
    operations = set[str]()
    for route in routes(guilder):
        operation, row = operation_of(route), row_of(operation_of(route))
        operations |= {operation, operation.replace(" /", " /v1/", 1)}
        if row is None:
            wrong.append(f"{operation}: add a row to tests/support/authorization_table.py")
        elif row.access != route.access:
            wrong.append(f"{operation} declares {route.access}, its row says {row.access}")
    wrong += [
        f"{operation}: there is a row, and no route" for operation in TABLE.keys() - operations
    ]
    assert not wrong, "\n".join(wrong)


async def test_asvs_8_2_1_nobody_gets_in_without_a_credential_that_is_good_now(
    world: World,
) -> None:
    leaks = []
    for operation, row, _ in guarded(world.running):
        named = await there_is(world, row.of, world.own)
        body = body_of(world.running, operation)
        for who, token in {"nobody": None, **world.dead}.items():
            answer = await world.send(operation, token, body=body, named=named)
            if (answer.status_code, code_of(answer)) != (401, "unauthenticated"):
                leaks.append(told(operation, who, answer))
    assert not leaks, "\n".join(leaks)


async def test_asvs_8_2_1_a_role_does_what_the_table_says_and_nothing_else(world: World) -> None:
    wrong = []
    for operation, row, permission in guarded(world.running):
        body = body_of(world.running, operation)
        people = {Role.USER: world.own, **world.staff}
        for role, person in people.items():
            named = await there_is(world, row.of, world.other)
            answer = await world.send(operation, person.token, body=body, named=named)
            if permission in ROLE_PERMISSIONS[role]:
                if not is_let_through(answer):
                    wrong.append(told(operation, role, answer))
            elif (answer.status_code, code_of(answer)) != (403, "forbidden"):
                wrong.append(told(operation, role, answer))
    assert not wrong, "\n".join(wrong)


async def test_asvs_6_3_3_staff_by_password_alone_do_what_is_their_own_and_nothing_else(
    world: World,
) -> None:
    wrong, refused = [], 0
    for operation, row, permission in guarded(world.running):
        body = body_of(world.running, operation)
        for role, person in world.by_password.items():
            if permission not in ROLE_PERMISSIONS[role]:
                continue
            named = await there_is(world, row.of, world.other)
            answer = await world.send(operation, person.token, body=body, named=named)
            is_refused = (answer.status_code, code_of(answer)) == (403, WITHOUT_FACTOR)
            is_about_others = operation.partition(" ")[2].startswith("/v1/admin/")
            if is_refused != is_about_others or not (is_refused or is_let_through(answer)):
                wrong.append(told(operation, role, answer))
            if is_refused and WITHOUT_FACTOR not in refusals(world.running, operation):
                wrong.append(f"{operation}: the API's description does not say so")
            refused += is_refused
    assert not wrong, "\n".join(wrong)
    assert refused >= len(STAFF_ONLY)


async def test_a_key_does_what_its_scopes_say_and_never_more_than_a_key_may(world: World) -> None:
    every = frozenset(Permission)
    wrong = []
    for operation, row, permission in guarded(world.running):
        named = await there_is(world, row.of, world.other)
        body = body_of(world.running, operation)
        for who, scopes, expected in (
            ("a key with the scope alone", frozenset({permission}), permission in GRANTABLE),
            ("a key with all other scopes", GRANTABLE - {permission}, False),
            ("a key with everything but this", every - {permission}, False),
            ("a key without scopes", frozenset[Permission](), False),
        ):
            key = await world.key(scopes)
            answer = await world.send(operation, key, body=body, named=named)
            is_refused = (answer.status_code, code_of(answer)) == (403, "forbidden")
            if is_refused is expected or not (is_refused or is_let_through(answer)):
                wrong.append(told(operation, who, answer))
    assert not wrong, "\n".join(wrong)


async def test_asvs_8_2_2_anothers_object_is_answered_exactly_like_a_missing_one(
    world: World,
) -> None:
    leaks = []
    for operation, row, permission in guarded(world.running):
        if row.of is None or not row.is_owned:
            continue
        theirs = await there_is(world, row.of, world.other)
        nobodys = missing(theirs)
        body = body_of(world.running, operation)
        tokens = [world.own.token] if permission in ROLE_PERMISSIONS[Role.USER] else []
        staff = [role for role in STAFF if permission in ROLE_PERMISSIONS[role]]
        for token in tokens + [world.staff[role].token for role in staff]:
            foreign = await world.send(operation, token, body=body, named=theirs)
            absent = await world.send(operation, token, body=body, named=nobodys)
            if code_of(absent) != (row.asks_first or row.missing):
                leaks.append(told(operation, "a missing object", absent))
            elif row.asks_first:
                if code_of(foreign) != row.asks_first:
                    leaks.append(told(operation, "another's object", foreign))
            elif plain(foreign, theirs) != plain(absent, nobodys):
                leaks.append(told(operation, "another's object", foreign))
    assert not leaks, "\n".join(leaks)


async def test_everybody_can_use_what_is_their_own(world: World) -> None:
    refused = []
    for operation, row, permission in guarded(world.running):
        if permission not in ROLE_PERMISSIONS[Role.USER]:
            continue
        person = await world.somebody() if row.is_fresh else world.own
        named = "" if row.of is None else await MAKERS[row.of](world, person)
        body = body_of(world.running, operation)
        answer = await world.send(operation, person.token, body=body, named=named)
        is_found = row.of is None or code_of(answer) != row.missing
        if not (is_let_through(answer) and is_found):
            refused.append(told(operation, "the owner", answer))
    assert not refused, "\n".join(refused)


async def test_what_is_public_asks_nobody_to_sign_in(world: World) -> None:
    refused = []
    for operation, row in cases(world.running):
        if row.access == PUBLIC:
            named = await there_is(world, row.of, world.own)
            body = body_of(world.running, operation)
            answer = await world.send(operation, None, body=body, named=named)
            if code_of(answer) in {"unauthenticated", "forbidden"} or answer.status_code >= 500:
                refused.append(told(operation, "nobody", answer))
    assert not refused, "\n".join(refused)


async def test_asvs_15_3_3_no_write_takes_a_field_that_is_not_its_callers_to_set(
    world: World,
) -> None:
    taken = []
    for operation, row in cases(world.running):
        body = body_of(world.running, operation)
        if not isinstance(body, dict) or row.of == "gateway":
            continue
        named = await there_is(world, row.of, world.own)
        roles = [role for role in STAFF if row.access in ROLE_PERMISSIONS[role]]
        is_own = row.access == PUBLIC or row.access in ROLE_PERMISSIONS[Role.USER]
        token = world.own.token if is_own else world.staff[roles[0]].token
        for field, value in MASS.items():
            if field not in body:
                more = {**body, field: value}
                answer = await world.send(operation, token, body=more, named=named)
                if code_of(answer) != "invalid" or f'"/{field}"' not in answer.text:
                    taken.append(told(operation, field, answer))
    assert not taken, "\n".join(taken)
