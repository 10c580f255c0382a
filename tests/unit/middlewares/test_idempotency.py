"""Idempotency keys: what is one, and what makes two requests the same."""

from typing import Any

import pytest
from starlette.requests import Request

from guilder.kernel.errors import InvalidRequest
from guilder.middlewares.idempotency import (
    KEY_PARAMETER,
    REPLAYED,
    IdempotencyKeyRequired,
    idempotency_key,
    request_fingerprint,
)


def request_with(*keys: bytes, name: bytes = b"idempotency-key") -> Request:
    return Request({"type": "http", "headers": [(name, key) for key in keys]})


@pytest.mark.parametrize("key", ["k", "!", "~", "a b", "5b1d6f0e-6b6c-4c3c", "x" * 255])
def test_what_is_a_key(key: str) -> None:
    assert idempotency_key(request_with(key.encode())) == key


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b" ",
        b" a",
        b"a ",
        b"a\tb",
        b"a\x00b",
        b"a\nb",
        b"a\n",
        b"\xc3\xa9",
        b"\x7f",
        b"x" * 256,
    ],
    ids=repr,
)
def test_what_is_none(key: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        idempotency_key(request_with(key))
    assert caught.value.fields[0].pointer == "/header/Idempotency-Key"


def test_it_is_required() -> None:
    with pytest.raises(IdempotencyKeyRequired):
        idempotency_key(request_with())


@pytest.mark.parametrize("keys", [(b"a", b"b"), (b"a", b"a")])
def test_two_keys_are_none(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(InvalidRequest):
        idempotency_key(request_with(*keys))


def test_the_documentation_says_the_same() -> None:
    assert KEY_PARAMETER["schema"] == {"type": "string", "minLength": 1, "maxLength": 255}
    assert idempotency_key(request_with(str(KEY_PARAMETER["example"]).encode()))
    assert REPLAYED == {"Idempotent-Replayed": "true"}


KEY = b"a fingerprint key for tests, 32 bytes"
BODY: dict[str, Any] = {"amount": 5, "to": {"email": "a", "phone": None}, "list": [1, 2]}


def test_a_fingerprint_stays() -> None:
    # Never to change: transfers in the world have it, and a retry must match.
    found = request_fingerprint(KEY, "POST", "/wallet/transfer", BODY)
    assert found.hex() == "064322256e2b75005839336457bf8d6ca0fd983a45c7ffb306794d9c3b3038ed"
    assert len(found) == 32


def test_without_the_key_nobody_finds_out_what_was_asked() -> None:
    """A dump has fingerprints: unkeyed, they would confirm every guess of an address."""
    mine = request_fingerprint(KEY, "POST", "/x", BODY)
    assert mine != request_fingerprint(KEY[::-1], "POST", "/x", BODY)
    assert mine != request_fingerprint(b"", "POST", "/x", BODY)


def test_the_order_of_fields_does_not_count() -> None:
    turned = {"list": [1, 2], "to": {"phone": None, "email": "a"}, "amount": 5}
    assert request_fingerprint(KEY, "POST", "/x", turned) == request_fingerprint(
        KEY, "POST", "/x", BODY
    )


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/x", BODY),
        ("POST", "/y", BODY),
        ("POST", "/x", {**BODY, "amount": 6}),
        ("POST", "/x", {**BODY, "amount": "5"}),
        ("POST", "/x", {**BODY, "amount": 5.0}),
        ("POST", "/x", {**BODY, "to": {"email": "a", "phone": ""}}),
        ("POST", "/x", {**BODY, "to": {"email": "a"}}),
        ("POST", "/x", {**BODY, "list": [2, 1]}),
        ("POST", "/x", {**BODY, "more": None}),
        ("POST", "/x", {}),
    ],
    ids=str,
)
def test_everything_else_counts(method: str, path: str, body: dict[str, Any]) -> None:
    assert request_fingerprint(KEY, method, path, body) != request_fingerprint(
        KEY, "POST", "/x", BODY
    )
