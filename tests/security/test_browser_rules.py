"""What browsers are told with every answer, and what they therefore cannot do."""

import re
from collections.abc import Iterator

import httpx2
import pytest

from guilder.kernel.ids import new_id
from tests.support.http import Running

YEAR_S = 365 * 24 * 60 * 60
PAGES = ("/docs", "/docs/docs.js", "/docs/docs.css", "/mailbox", "/pay/nothing", "/pay/%00")
OTHERS = ("/openapi.json", "/healthz", "/readyz", "/metrics", "/.well-known/jwks.json", "/nothing")


def paths(guilder: Running) -> list[str]:
    """Return every path there is, with something in the place of each parameter."""
    declared = guilder.app.openapi()["paths"]
    return [re.sub(r"\{(\w+)\}", r"some-\1", path) for path in declared] + [*PAGES, *OTHERS]


@pytest.fixture(scope="module")
async def answers(guilder: Running) -> list[tuple[str, httpx2.Response]]:
    """Ask for every path as nobody: pages, data, refusals."""
    return [(path, await guilder.client.get(path)) for path in paths(guilder)]


Answers = list[tuple[str, httpx2.Response]]


def test_asvs_3_4_1_every_answer_asks_for_tls(answers: Answers) -> None:
    for path, answer in answers:
        told = answer.headers["strict-transport-security"]
        age = re.match(r"max-age=(\d+); includeSubDomains", told)
        assert age, path
        assert int(age[1]) >= YEAR_S, path


async def test_asvs_3_4_2_other_origins_get_no_leave(guilder: Running) -> None:
    person = await guilder.person()
    for origin in ("https://evil.example", "null", guilder.settings.base_url):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        for answer in (
            await guilder.client.options("/v1/wallet/transfer", headers=asked),
            await guilder.client.get("/v1/wallet", headers=person.headers | {"Origin": origin}),
            await guilder.client.get("/docs", headers={"Origin": origin}),
        ):
            allowed = [name for name in answer.headers if name.startswith("access-control-")]
            assert not allowed, origin


def policy_of(answer: httpx2.Response) -> dict[str, str]:
    """Return the directives of the policy, by name."""
    text = answer.headers["content-security-policy"]
    parts = (part.split(maxsplit=1) for part in text.split(";") if part.strip())
    return {part[0]: part[1] if len(part) > 1 else "" for part in parts}


def test_asvs_3_4_3_to_6_what_an_answer_may_load_and_who_may_frame_it(answers: Answers) -> None:
    for path, answer in answers:
        policy = policy_of(answer)
        for name in ("default-src", "base-uri", "frame-ancestors"):
            assert policy[name] == "'none'", (path, name)
        assert not re.search(r"unsafe-(eval|inline)|\*|https?:|data:", policy.get("script-src", ""))
        # What is not listed falls back to `default-src`.
        assert policy.get("object-src", "'none'") == "'none'", path
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["referrer-policy"] == "no-referrer", path


def test_asvs_3_4_8_no_page_shares_its_window(answers: Answers) -> None:
    for path, answer in answers:
        assert answer.headers["cross-origin-opener-policy"] == "same-origin", path
        assert answer.headers["cross-origin-resource-policy"] == "same-origin", path


async def test_asvs_1_2_3_data_is_never_a_page(guilder: Running) -> None:
    name = "</script><script>alert(1)</script>"
    email = f"{new_id('user')}@example.com"
    body = {"name": name, "email": email, "password": "seven green kettles sing"}
    made = await guilder.client.post("/v1/register", json=body)
    asked = await guilder.client.get(f"/v1/{name}")
    for answer in (made, asked):
        assert re.match(r"application/(problem\+)?json\b", answer.headers["content-type"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert policy_of(answer)["default-src"] == "'none'"
    assert made.json()["name"] == name


OF_EVERYBODY = {"/v1/auth/outside", "/v1/ledger/checkpoints", "/v1/ledger/keys"}
"""What they answer is the same for all, and public."""


def readable(guilder: Running) -> Iterator[str]:
    """Return every path of a user's own things that is read without naming one."""
    for path, operations in guilder.app.openapi()["paths"].items():
        is_own = path.startswith("/v1/") and path not in OF_EVERYBODY
        if "get" in operations and "{" not in path and is_own:
            yield path


async def test_asvs_14_3_2_nothing_of_a_user_is_kept_by_a_cache(guilder: Running) -> None:
    person = await guilder.person()
    kept = []
    for path in readable(guilder):
        answer = await person.get(path)
        if "no-store" not in answer.headers.get("cache-control", ""):
            kept.append(f"{path}: {answer.status_code}")
    assert not kept, kept
