"""Rows of the security table that are about Guilder as a whole: queries, patterns, logs, parts."""

import importlib
import json
import pkgutil
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from zxcvbn.frequency_lists import FREQUENCY_LISTS

import guilder as package
from guilder.identity.models import User
from guilder.identity.password_rules import is_leaked
from guilder.middlewares.redaction import redact_text
from tests.support.http import PASSWORD, Person, Running
from tests.support.shared_guilder import Start
from tests.tidy import rules
from tests.tidy.source import ROOT, modules

INJECTED = (
    "x' OR '1'='1",
    "x'; DROP TABLE documents.users; --",
    "x') UNION SELECT 1 --",
    '{"$gt": ""}',
    "$where: 1",
    "x\\' OR 1=1 --",
    "%' AND 1=0) --",
    "$1",
)


async def test_asvs_1_2_4_no_text_becomes_a_part_of_a_query(guilder: Running) -> None:
    somebody = await guilder.person()
    email = somebody.user["email"]
    for text in INJECTED:
        for body in (
            {"email": email, "password": text},
            {"email": f"{text}@example.com", "password": PASSWORD},
            {"phone": text, "password": PASSWORD},
            {"email": text, "password": PASSWORD},
        ):
            answer = await guilder.client.post("/v1/login", json=body)
            assert answer.status_code in {401, 422, 429}, (body, answer.text)
        body = {"name": text, "email": f"{len(text)}-{email}", "password": PASSWORD}
        made = await guilder.client.post("/v1/register", json=body)
        assert (made.status_code, made.json()["name"]) == (201, text)
    assert (await somebody.get("/v1/users/me")).json()["id"] == somebody.user["id"]


def test_asvs_1_2_4_queries_are_constant() -> None:
    """The rule of the house, under the name of its row."""
    assert broken(rules.sql_is_constant) == []


def test_asvs_11_2_4_secrets_are_compared_in_equal_time() -> None:
    """The rule of the house, under the name of its row."""
    assert broken(rules.secrets_take_equal_time) == []


def broken(rule: rules.Rule) -> list[str]:
    """Return where a rule is broken. That it can find something is shown beside it."""
    return [f"{each.path}:{line}" for each in modules() for line, _ in rule(each)]


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Return every compiled pattern of the code base."""
    for info in pkgutil.walk_packages(package.__path__, "guilder."):
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            for name, value in vars(module).items():
                if isinstance(value, re.Pattern):
                    yield f"{info.name}.{name}", value


HOSTILE = ("a", "1", " ", "-", ".", "a.", "1 ", "@a", "/", "\\", "%2", '"', "é", "eyJ.")
ENDS = ("", "!", "\n", "@", "\x00")
TIMES = (16, 20, 22, 24, 1_000)
"""A pattern that backtracks takes twice as long for each more: it is found before it hangs."""


def test_asvs_1_3_12_no_pattern_takes_for_ever() -> None:
    found = dict(patterns())
    assert len(found) > 10
    for name, pattern in found.items():
        for times in TIMES:
            began = time.process_time()
            for text in (each * times + end for each in HOSTILE for end in ENDS):
                subject = text.encode() if isinstance(pattern.pattern, bytes) else text
                pattern.search(subject)
                pattern.fullmatch(subject)
            # A slow machine takes a tenth of it for a good one.
            assert time.process_time() - began < 1, (name, times)


def test_asvs_15_3_2_no_call_to_the_outside_follows_redirects() -> None:
    """The demo plays a browser; all others stay with the address that was checked."""
    following = [
        module.path
        for module in modules()
        if module.is_source and re.search(r"follow_redirects\s*=(?!\s*False)", module.text)
    ]
    assert following == ["src/guilder/cli/demo/story.py"]


def test_asvs_6_2_4_the_three_thousand_most_used_are_refused() -> None:
    most_used = FREQUENCY_LISTS["passwords"][:3_000]
    assert len(most_used) == 3_000
    assert all(is_leaked(each) for each in most_used)


async def test_asvs_6_2_9_sixty_four_characters_and_more_are_taken(guilder: Running) -> None:
    words = "seven green kettles sing of nine unlikely words in a row "
    for length in (64, 200):
        password = (words * 4)[:length].strip() + "s" * 2
        email = f"long-{length}-{(await guilder.person()).user['email']}"
        body = {"name": "Long", "email": email, "password": password}
        assert (await guilder.client.post("/v1/register", json=body)).status_code == 201
        login = {"email": email, "password": password}
        assert (await guilder.client.post("/v1/login", json=login)).status_code == 200
        login = {"email": email, "password": password[:-1]}
        assert (await guilder.client.post("/v1/login", json=login)).status_code == 401


def test_asvs_6_4_6_no_operator_sets_or_sees_a_password(guilder: Running) -> None:
    described = guilder.app.openapi()
    staff = {path: what for path, what in described["paths"].items() if "/admin/" in path}
    assert staff
    assert "password" not in json.dumps(list(used(staff, described))).lower()


def used(part: object, described: dict[str, Any]) -> Iterator[object]:
    """Return the schemas that a part of the description names, and those that they name."""
    wanted, seen = {*re.findall(r"schemas/([\w.-]+)", json.dumps(part))}, set[str]()
    while wanted - seen:
        name = (wanted - seen).pop()
        seen.add(name)
        schema = described["components"]["schemas"][name]
        wanted |= {*re.findall(r"schemas/([\w.-]+)", json.dumps(schema))}
        yield schema.get("properties", {})


SHOWN = {
    "id", "name", "email", "phone", "email_verified", "phone_verified",
    "wallet_id", "created_at", "updated_at",
}  # fmt: skip
INSIDE = {"password_hash", "email_key", "phone_key", "credentials_version", "rights_version"}


async def test_asvs_8_2_3_answers_hold_the_fields_that_are_listed(guilder: Running) -> None:
    person = await guilder.person()
    body = {"email": person.user["email"], "password": PASSWORD}
    signed_in = (await guilder.client.post("/v1/login", json=body)).json()
    me = (await person.get("/v1/users/me")).json()
    assert me.keys() == signed_in["user"].keys() == person.user.keys() == SHOWN
    assert set(User.__struct_fields__) >= INSIDE
    for path, operations in guilder.app.openapi()["paths"].items():
        if "get" in operations and "{" not in path and "/export" not in path:
            answer = await person.get(path)
            if answer.headers["content-type"] == "application/json" and path != "/openapi.json":
                assert not INSIDE & set(names_in(answer.json())), path


def names_in(value: object) -> Iterator[str]:
    """Return every name of every object in an answer."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from names_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from names_in(each)


async def test_asvs_13_4_2_nothing_is_debugged(guilder: Running) -> None:
    assert guilder.app.debug is False
    assert not [
        module.path
        for module in modules()
        if module.is_source and re.search(r"\bdebug\s*=\s*True", module.text)
    ]
    for path in ("/debug", "/.git/config", "/.env", "/console", "/server-status", "/docs/../.env"):
        assert (await guilder.client.get(path)).status_code == 404, path


CARD = "4242424242424242"
_OF_CARDS = re.compile(r"card|cvv|cvc|\bpan\b|expiry_(month|year)|track_?[12]", re.IGNORECASE)


async def test_row_64_no_card_number_is_asked_for_taken_or_logged(guilder: Running) -> None:
    described = guilder.app.openapi()
    asked = {
        name
        for schema in described["components"]["schemas"].values()
        for name in schema.get("properties", {})
        if _OF_CARDS.search(name)
    }
    assert not asked
    person = await guilder.person()
    body = {"amount": 100, "currency": "USD", "gateway": "simulator", "card_number": CARD}
    answer = await person.post("/v1/wallet/add-funds", body)
    assert answer.status_code == 422
    assert CARD not in answer.text
    assert CARD not in redact_text(f"somebody typed {CARD} here")


def test_asvs_15_1_2_every_dependency_is_pinned_by_hash() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        wanted = re.sub(r"\\\n", " ", (ROOT / name).read_text())
        lines = [line for line in wanted.splitlines() if re.match(r"[A-Za-z0-9]", line)]
        assert len(lines) > 10
        for line in lines:
            assert re.match(r"[\w.\[\],-]+==\S+", line), line
            assert "--hash=sha256:" in line, line


async def test_asvs_16_3_2_a_refused_permission_is_logged_with_who_what_and_when(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    async with start(access_log=True) as other:
        somebody = await other.person()
        assert (await somebody.get("/v1/admin/audit")).status_code == 403
        user_id = somebody.user["id"]
    (line,) = [line for line in logged(capfd) if line.get("user_id") == user_id]
    assert (line["status"], line["path"]) == (403, "/v1/admin/audit")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["timestamp"])


async def test_asvs_16_4_1_nobody_writes_a_line_of_the_log(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    forged = 'x%0a{"event":"request","forged":true}%1b[31m'
    asked: list[str] = []

    async def note(response: httpx2.Response) -> None:
        asked.append(response.headers["Request-Id"])

    async with start(access_log=True) as other:
        other.client.event_hooks = {"response": [note]}
        somebody = await other.person()
        await intrude(somebody, forged)
    lines = capfd.readouterr().err.splitlines()
    requests = [json.loads(line) for line in lines if '"event":"request"' in line]
    for line in requests:
        assert "forged" not in line
        assert line["request_id"].startswith("req_")
    # Two to sign in and four below: each has written one line. Others may log beside it.
    assert len(asked) == 6
    assert sorted(line["request_id"] for line in requests if line["request_id"] in asked) == sorted(
        asked
    )
    assert not [line for line in lines if "\x1b" in line]


async def intrude(somebody: Person, forged: str) -> None:
    """Send a line for the log by every way that a request has."""
    client = somebody.client
    await client.get(f"/v1/{forged}")
    await client.get(f"/v1/wallet?cursor={forged}")
    await client.get("/v1/wallet", headers={"User-Agent": forged, "Request-Id": forged})
    body = {"email": 'x\n{"event":"request","forged":true}', "password": PASSWORD}
    await client.post("/v1/login", json=body)


def logged(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return every line of requests; each is one JSON object."""
    lines = capfd.readouterr().err.splitlines()
    return [json.loads(line) for line in lines if '"event":"request"' in line]
