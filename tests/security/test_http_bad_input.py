"""Input of strangers: whatever it is, a clean refusal with a stable code, never a 500."""

import asyncio
import json
import time
from typing import Any

import httpx2
import pytest

from tests.support.http import Person, Running

JSON = {"Content-Type": "application/json"}
MIB = 2**20

BODIES: list[tuple[str, bytes, int, str]] = [
    ("empty object", b"{}", 422, "invalid"),
    ("nothing", b"", 422, "invalid"),
    ("not JSON", b"{", 400, "malformed"),
    ("a word", b"hello", 400, "malformed"),
    ("two values", b"{} {}", 400, "malformed"),
    ("trailing comma", b'{"amount":1,}', 400, "malformed"),
    ("an array", b"[]", 422, "invalid"),
    ("a string", b'"x"', 422, "invalid"),
    ("a number", b"7", 422, "invalid"),
    ("null", b"null", 422, "invalid"),
    ("NaN", b'{"amount":NaN}', 400, "malformed"),
    ("Infinity", b'{"amount":-Infinity}', 400, "malformed"),
    ("bad UTF-8", b'{"email":"\xff\xfe"}', 400, "malformed"),
    ("UTF-16", '{"email":"x"}'.encode("utf-16"), 400, "malformed"),
    ("byte order mark", b'\xef\xbb\xbf{"email":"x"}', 400, "malformed"),
    ("a name twice", b'{"amount":1,"amount":2}', 400, "malformed"),
    ("a name twice, escaped", b'{"amount":1,"\\u0061mount":2}', 400, "malformed"),
    ("a name twice, inside", b'{"to":{"email":"a","email":"b"}}', 400, "malformed"),
    ("NUL in a value", b'{"email":"a\\u0000b"}', 400, "malformed"),
    ("NUL in a name", b'{"a\\u0000b":1}', 400, "malformed"),
    ("raw NUL", b'{"email":"a\x00b"}', 400, "malformed"),
    ("lone surrogate", b'{"email":"\\ud800"}', 400, "malformed"),
    ("lone surrogate as a name", b'{"\\udfff":1}', 400, "malformed"),
    ("deep arrays", b"[" * 20_000 + b"]" * 20_000, 400, "malformed"),
    ("deep objects", b'{"a":' * 9_000 + b"1" + b"}" * 9_000, 400, "malformed"),
    ("60,000 digits", b'{"amount":' + b"9" * 60_000 + b"}", 400, "malformed"),
    ("100,000 digits", b'{"amount":' + b"9" * 100_000 + b"}", 413, "body_too_large"),
    ("a huge exponent", b'{"amount":1e999999999}', 422, "invalid"),
    ("10 MB", b'{"email":"' + b"x" * 10 * MIB + b'"}', 413, "body_too_large"),
    ("many fields", b"{" + b",".join(b'"f%d":1' % n for n in range(4_000)) + b"}", 422, "invalid"),
    ("a prototype", b'{"__proto__":{"admin":true},"constructor":1}', 422, "invalid"),
    ("operators", b'{"email":{"$gt":""},"password":{"$ne":null}}', 422, "invalid"),
]
PATHS = ("/v1/login", "/v1/register", "/v1/auth/refresh")
MONEY_PATHS = ("/v1/wallet/transfer", "/v1/wallet/withdraw", "/v1/wallet/add-funds")


@pytest.fixture(scope="package")
async def somebody(guilder: Running) -> Person:
    return await guilder.person()


def refused(response: httpx2.Response, *wanted: tuple[int, str]) -> dict[str, Any]:
    """Check that an answer is a problem, and one of those."""
    assert response.headers["content-type"] == "application/problem+json", response.text[:500]
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["code"]) in wanted, response.text[:500]
    assert len(response.content) < 16_384
    return body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "status", "code"), [c[1:] for c in BODIES], ids=[c[0] for c in BODIES]
)
async def test_bad_bodies(guilder: Running, path: str, body: bytes, status: int, code: str) -> None:
    began = time.monotonic()
    response = await guilder.client.post(path, content=body, headers=JSON)
    refused(response, (status, code))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("path", MONEY_PATHS)
@pytest.mark.parametrize(
    ("body", "status", "code"), [c[1:] for c in BODIES], ids=[c[0] for c in BODIES]
)
async def test_asvs_2_2_2_bad_bodies_about_money(
    guilder: Running, somebody: Person, *, path: str, body: bytes, status: int, code: str
) -> None:
    headers = JSON | somebody.headers | {"Idempotency-Key": "k"}
    response = await guilder.client.post(path, content=body, headers=headers)
    # A decoder of its own may see the fault of a field before that of the form, or the reverse.
    refused(response, (status, code), (422, "invalid"), (400, "malformed"))


@pytest.mark.parametrize("path", ["/v1/login", "/v1/wallet/transfer", "/v1/wallet/withdraw"])
@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "", "json"]
)
async def test_asvs_3_5_2_other_media_types(
    guilder: Running, somebody: Person, path: str, media_type: str
) -> None:
    headers = somebody.headers | {"Content-Type": media_type, "Idempotency-Key": "k"}
    response = await guilder.client.post(path, content=b'{"a":1}', headers=headers)
    refused(response, (415, "unsupported_media_type"))


async def test_asvs_5_2_1_streamed_bodies_are_counted(guilder: Running) -> None:
    async def endless() -> Any:
        for _ in range(64):
            yield b"x" * 4_096

    response = await guilder.client.post("/v1/login", content=endless(), headers=JSON)
    refused(response, (413, "body_too_large"))


@pytest.mark.parametrize(
    "target",
    [
        "/v1/transactions?cursor=%00",
        "/v1/payments/%00",
        "/v1/payments/a%00b",
        "/v1/transactions?type=%zz",
        "/v1/transactions?type=%",
        "/v1/payments/%ff%fe",
        "/v1/transactions?type=%ed%a0%80",
        "/v1/transactions?q=" + "x" * 5_000,
        "/v1/" + "x" * 2_000,
    ],
)
async def test_bad_addresses(guilder: Running, somebody: Person, target: str) -> None:
    status, body = await _raw_get(guilder, target, somebody.token)
    assert status == 400
    assert body["code"] == "malformed"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=1000000000",
        "limit=1e3",
        "limit=-1",
        "type=other",
        "nonsense=1",
        "created[gte]=yesterday",
        "created[gte]=2026-01-31T12:00:00",
        "created[lt]=0.5",
        "amount[gte]=1.5",
        "amount[gte]=" + "9" * 400,
        "cursor=%F0%9F%92%A9",
        "cursor=abc",
        "cursor=" + "A" * 3_000,
        "limit=1&limit=2",
        "type='%20OR%201=1--",
        "currency[$ne]=USD",
    ],
)
async def test_bad_filters(guilder: Running, somebody: Person, query: str) -> None:
    response = await somebody.get(f"/v1/transactions?{query}")
    assert response.status_code in {400, 422}, response.text
    assert response.json()["code"] in {
        "invalid",
        "malformed",
        "cursor_mismatch",
        "currency_unknown",
    }


@pytest.mark.parametrize(
    "path",
    [
        "/v1/payments/../../etc/passwd",
        "/v1/payments/payment_zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "/v1/payments/user_01h455vb4pex5vsknk084sn02q",
        "/v1/payouts/💩",
        "/v1/transactions/1;DROP TABLE users",
        "/v1/transactions/transfer_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "/v1/gateways/nobody/webhook",
        "/wp-login.php",
    ],
)
async def test_foreign_ids_and_paths_do_not_exist(
    guilder: Running, somebody: Person, path: str
) -> None:
    if path.endswith("webhook"):
        response = await guilder.client.post(path, json={})
    else:
        response = await somebody.get(path)
    refused(response, (404, "not_found"))


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer x",
        "Basic YTpi",
        "Bearer a.b.c",
        "Bearer " + "x" * 5_000,
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c2VyXzEifQ.",
        "Bearer é",
    ],
)
async def test_bad_credentials(guilder: Running, header: str) -> None:
    headers = [(b"Authorization", header.encode())]
    response = await guilder.client.get("/v1/wallet", headers=headers)
    refused(response, (401, "unauthenticated"))
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb"])
async def test_bad_idempotency_keys(guilder: Running, somebody: Person, key: str) -> None:
    for path in MONEY_PATHS:
        headers = [(n.encode(), v.encode()) for n, v in (JSON | somebody.headers).items()]
        headers.append((b"Idempotency-Key", key.encode()))
        content = b'{"amount":1,"currency":"USD"}'
        response = await guilder.client.post(path, content=content, headers=headers)
        refused(response, (422, "invalid"), (400, "idempotency_key_required"))


async def test_field_errors_point_into_the_body(guilder: Running) -> None:
    response = await guilder.client.post("/v1/login", json={"email": 3, "a/b~c": 1})
    body = refused(response, (422, "invalid"))
    found = {each["pointer"]: each["code"] for each in body["errors"]}
    assert found["/email"] == "wrong_type"
    assert found["/password"] == "required"
    assert found["/a~1b~0c"] == "unknown_field"


async def test_what_was_typed_is_not_repeated(guilder: Running) -> None:
    body = {"email": "payer@example.com", "password": ["hunter2-hunter2"]}
    response = await guilder.client.post("/v1/login", json=body)
    refused(response, (422, "invalid"))
    assert "hunter2" not in response.text


async def _raw_get(guilder: Running, target: str, token: str) -> tuple[int, dict[str, Any]]:
    """Ask for a target exactly as it is; a client library would tidy it."""
    reader, writer = await asyncio.open_connection(*guilder.address)
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    writer.write(head.encode() + b"Connection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    head_part, _, body = answer.partition(b"\r\n\r\n")
    return int(head_part.split()[1]), json.loads(body)
