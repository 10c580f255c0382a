"""Every kind of error has its status, and nothing inside leaks out."""

import asyncio
from collections.abc import Mapping
from typing import ClassVar

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from guilder.kernel.errors import (
    FieldError,
    GuilderError,
    InvalidRequest,
    InvariantViolation,
    Kind,
    NotFound,
    Unavailable,
)
from guilder.middlewares.errors import RateLimited
from guilder.middlewares.problems import STATUS, ProblemsMiddleware, error_responses, render
from tests.support.asgi import Answer, answer, scope_of


class TeapotBroken(GuilderError):
    """Teapots are whole."""

    code = "teapot_broken"
    kind = Kind.CONFLICT
    title = "The teapot is broken"


def raising(error: BaseException) -> ProblemsMiddleware:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    return ProblemsMiddleware(app)


async def problem_of(error: BaseException) -> Answer:
    return await answer(raising(error), scope_of("/v1/pots", state={"request_id": "req_7"}))


def test_every_kind_has_a_status() -> None:
    assert set(STATUS) == set(Kind)
    assert len(set(STATUS.values())) == len(STATUS)


async def test_an_error_of_ours_is_a_problem() -> None:
    got = await problem_of(TeapotBroken("It lies on the floor."))
    assert got.status == 409
    assert got.headers["content-type"] == "application/problem+json"
    assert got.headers["cache-control"] == "no-store"
    assert got.body == {
        "type": "https://guilder.dev/errors/teapot_broken",
        "title": "The teapot is broken",
        "status": 409,
        "code": "teapot_broken",
        "detail": "It lies on the floor.",
        "instance": "/v1/pots",
        "request_id": "req_7",
        "retryable": False,
    }


async def test_fields_are_listed() -> None:
    got = await problem_of(InvalidRequest(fields=(FieldError("/amount", "out_of_range", "No."),)))
    assert got.body["errors"] == [{"pointer": "/amount", "code": "out_of_range", "detail": "No."}]


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (Unavailable(), "1"),
        (Unavailable(retry_after_s=7), "7"),
        (RateLimited(retry_after_s=30), "30"),
    ],
)
async def test_what_may_be_sent_again_says_when(error: GuilderError, wait: str) -> None:
    got = await problem_of(error)
    assert got.headers["retry-after"] == wait
    assert got.body["retryable"] is True


@pytest.mark.parametrize(
    "error",
    [RuntimeError("the password is hunter2"), InvariantViolation("hunter2"), KeyError("hunter2")],
)
async def test_what_nobody_expected_is_not_explained(error: Exception) -> None:
    got = await problem_of(error)
    assert got.status == 500
    assert got.body["code"] == "internal"
    assert b"hunter2" not in got.content


async def test_errors_of_the_framework_are_problems() -> None:
    for status, code in ((404, "not_found"), (400, "malformed"), (418, "internal")):
        assert (await problem_of(HTTPException(status))).body["code"] == code


async def test_allow_names_the_methods_of_every_route_of_a_path() -> None:
    routes = [Route("/v1/pots", Response, methods=[method]) for method in ("POST", "DELETE")]
    scope = scope_of("/v1/pots", app=Starlette(routes=[*routes, Route("/v1/cups", Response)]))
    got = await answer(raising(HTTPException(405, headers={"Allow": "POST"})), scope)
    assert (got.status, got.body["code"]) == (405, "method_not_allowed")
    assert got.headers["allow"] == "DELETE, POST"


async def test_half_an_answer_is_not_followed_by_another() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await answer(ProblemsMiddleware(app), scope_of())


async def test_a_client_that_left_is_not_answered() -> None:
    with pytest.raises(IndexError):  # Nothing was sent.
        await problem_of(ClientDisconnect())


def test_lone_surrogates_do_not_break_the_answer() -> None:
    error = InvalidRequest(fields=(FieldError("/\ud800", "unknown_field", "x\udfff"),))
    assert render(error, scope_of()).status_code == 422


def test_openapi_gets_one_example_per_code() -> None:
    described = error_responses(NotFound, TeapotBroken, Unavailable)
    assert list(described) == [404, 409, 503]
    examples = described[409]["content"]["application/problem+json"]["examples"]
    assert examples["teapot_broken"]["value"]["status"] == 409


async def test_who_is_cut_off_by_a_stop_is_told_to_come_back() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(asyncio.CancelledError):
        await raising(asyncio.CancelledError())(scope_of("/v1/pots"), _nothing, send)
    start, body = sent
    assert start["status"] == 503
    assert (b"retry-after", b"1") in start["headers"]
    assert b'"code":"unavailable"' in body["body"]


async def test_half_an_answer_is_not_finished_by_a_stop() -> None:
    sent: list[Message] = []

    async def begin(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise asyncio.CancelledError

    async def note(message: Message) -> None:
        sent.append(message)

    with pytest.raises(asyncio.CancelledError):
        await ProblemsMiddleware(begin)(scope_of("/v1/pots"), _nothing, note)
    assert [message["type"] for message in sent] == ["http.response.start"]


async def _nothing() -> Message:
    raise AssertionError


async def test_an_error_may_add_to_its_problem_and_change_nothing_of_it() -> None:
    error = TeapotBroken("Oh.")
    error.extension = {"challenge": {"id": "challenge_x"}, "status": 200, "code": "fine"}
    got = await problem_of(error)
    assert got.body["challenge"] == {"id": "challenge_x"}
    assert (got.status, got.body["status"], got.body["code"]) == (409, 409, "teapot_broken")


def test_what_an_error_adds_is_in_its_example() -> None:
    class Asked(TeapotBroken):
        """It is asked for."""

        extension_example: ClassVar[Mapping[str, object]] = {"challenge": {"id": "challenge_x"}}

    (shown,) = error_responses(Asked)[409]["content"]["application/problem+json"][
        "examples"
    ].values()
    assert shown["value"]["challenge"] == {"id": "challenge_x"}
