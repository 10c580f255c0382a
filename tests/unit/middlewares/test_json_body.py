"""The hot path's own reader of bodies is as strict as the framework's."""

import threading

import pytest
from pydantic import BaseModel, ConfigDict, model_validator
from starlette.requests import Request

from guilder.kernel.errors import InvalidRequest, Malformed
from guilder.middlewares.errors import UnsupportedMediaType
from guilder.middlewares.json_body import read_json, read_large_json


class Order(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    amount: int
    note: str = ""


def request_with(body: bytes, media_type: str = "application/json") -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body}

    headers = [(b"content-type", media_type.encode())] if media_type else []
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"],
)
async def test_a_body_becomes_a_model(media_type: str) -> None:
    read = await read_json(
        request_with(b' {"note": "\xe2\x82\xac", "amount": 5}', media_type), Order
    )
    assert read == Order(amount=5, note="\u20ac")


@pytest.mark.parametrize("media_type", ["", "text/plain", "text/json", "application/jsonp"])
async def test_it_is_declared_to_be_json(media_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        await read_json(request_with(b'{"amount": 5}', media_type), Order)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'amount': 5}",
        b'{"amount": 5,}',
        b'{"amount": 5} x',
        b'{"amount": 5, "amount": 6}',
        b'{"amount": 5, "\\u0061mount": 6}',
        b'{"amount": NaN}',
        b'{"amount": -Infinity}',
        b'{"amount": 5, "note": "\\u0000"}',
        b'{"amount": 5, "note": "\\ud800"}',
        b'{"amount": 5, "note": "\xff"}',
        b'{"amount": 05}',
        b"[" * 100_000,
        b'{"amount": ' + b"9" * 5_000 + b"}",
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_what_cannot_be_read(body: bytes) -> None:
    with pytest.raises(Malformed):
        await read_json(request_with(body), Order)


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (b"{}", "/amount", "required"),
        (b'{"amount": 5, "more": 1}', "/more", "unknown_field"),
        (b'{"amount": "5"}', "/amount", "wrong_type"),
        (b'{"amount": 5.0}', "/amount", "wrong_type"),
        (b'{"amount": 1e3}', "/amount", "wrong_type"),
        (b'{"amount": true}', "/amount", "wrong_type"),
        (b'{"amount": null}', "/amount", "wrong_type"),
        (b'{"amount": 5, "note": 1}', "/note", "wrong_type"),
        (b"[]", "", "wrong_type"),
        (b"5", "", "wrong_type"),
    ],
)
async def test_what_is_not_as_declared(body: bytes, pointer: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await read_json(request_with(body), Order)
    (field,) = caught.value.fields
    assert (field.pointer, field.code) == (pointer, code)


async def test_a_large_body_is_read_beside_the_event_loop() -> None:
    class Watched(Order):
        @model_validator(mode="after")
        def _is_elsewhere(self) -> "Watched":
            threads.append(threading.current_thread())
            return self

    threads: list[threading.Thread] = []
    read = await read_large_json(request_with(b'{"amount": 5}'), Watched)
    assert read.amount == 5
    (thread,) = threads
    assert thread is not threading.current_thread()


@pytest.mark.parametrize(
    ("body", "media_type", "error"),
    [
        (b'{"amount": 5}', "text/plain", UnsupportedMediaType),
        (b'{"amount": 5, "amount": 6}', "application/json", Malformed),
        (b'{"amount": "5"}', "application/json", InvalidRequest),
    ],
)
async def test_a_large_body_is_refused_like_others(
    body: bytes, media_type: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await read_large_json(request_with(body, media_type), Order)
