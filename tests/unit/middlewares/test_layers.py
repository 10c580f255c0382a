"""The small layers: names, templates, limits, what is logged and counted."""

from typing import Any

import pytest
from prometheus_client import generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from guilder.kernel.errors import Malformed
from guilder.middlewares.access_log import AccessLogMiddleware
from guilder.middlewares.body_limit import BodyLimitMiddleware
from guilder.middlewares.metrics import Metrics, MetricsMiddleware
from guilder.middlewares.problems import ProblemsMiddleware
from guilder.middlewares.request_id import RequestIdMiddleware, new_request_id
from guilder.middlewares.route_template import route_template
from guilder.middlewares.security_headers import POLICY, SecurityHeadersMiddleware
from guilder.middlewares.strict_json import check_json
from guilder.middlewares.strict_url import StrictUrlMiddleware
from tests.support.asgi import answer, scope_of


async def reads_everything(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive, send).body()
    await Response(str(len(body)))(scope, receive, send)


async def test_bodies_up_to_the_limit_pass_and_longer_ones_do_not() -> None:
    layer = ProblemsMiddleware(BodyLimitMiddleware(reads_everything, limit_bytes=10))
    chunked = {"transfer-encoding": "chunked"}
    for pieces, status in [((b"12345", b"67890"), 200), ((b"12345", b"678901"), 413)]:
        scope = scope_of(method="POST", headers=chunked)
        assert (await answer(layer, scope, pieces)).status == status
    for length, status in [("10", 200), ("11", 413), ("99999999999999999999", 413)]:
        scope = scope_of(method="POST", headers={"content-length": length})
        assert (await answer(layer, scope)).status == status


async def test_a_path_may_have_a_limit_of_its_own() -> None:
    layer = ProblemsMiddleware(
        BodyLimitMiddleware(reads_everything, limit_bytes=3, limits_by_path={"/wide": 5})
    )
    for path, length, status in [("/wide", "5", 200), ("/wide", "6", 413), ("/", "5", 413)]:
        scope = scope_of(path, method="POST", headers={"content-length": length})
        assert (await answer(layer, scope)).status == status


async def test_an_unreadable_length_is_counted_instead() -> None:
    layer = ProblemsMiddleware(BodyLimitMiddleware(reads_everything, limit_bytes=3))
    scope = scope_of(method="POST", headers={"content-length": "1_0"})
    assert (await answer(layer, scope, (b"1234",))).status == 413


def test_request_ids_differ() -> None:
    assert len({new_request_id() for _ in range(1_000)}) == 1_000


async def test_the_request_id_is_there_for_the_route() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["state"]["request_id"])
        await Response()(scope, receive, send)

    got = await answer(RequestIdMiddleware(app), scope_of(headers={"request-id": "my-request-1"}))
    assert seen == ["my-request-1"] == [got.headers["request-id"]]


async def test_a_page_keeps_its_own_policy() -> None:
    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {"Content-Security-Policy": "default-src 'self'"} if scope["path"] == "/p" else {}
        await Response(headers=headers)(scope, receive, send)

    layer = SecurityHeadersMiddleware(page)
    assert (await answer(layer, scope_of("/p"))).headers[
        "content-security-policy"
    ] == "default-src 'self'"
    assert (await answer(layer, scope_of("/q"))).headers[
        "content-security-policy"
    ] == POLICY.decode()


@pytest.mark.parametrize(
    ("path", "parameters", "template"),
    [
        ("/v1/wallet", {}, "/v1/wallet"),
        ("/v1/payments/p_1", {"payment_id": "p_1"}, "/v1/payments/{payment_id}"),
        ("/a/1/b/2", {"x": "1", "y": "2"}, "/a/{x}/b/{y}"),
        ("/files/a/b/c", {"path": "a/b/c"}, "unmatched"),
        ("/numbers/007", {"n": 7}, "unmatched"),
    ],
)
def test_templates(path: str, parameters: dict[str, Any], template: str) -> None:
    assert route_template(scope_of(path, endpoint=1, path_params=parameters)) == template


def test_a_path_without_a_route_has_no_template() -> None:
    assert route_template(scope_of("/whatever/somebody/typed")) == "unmatched"


class Somebody:
    user_id = "user_1"


async def test_the_access_log_has_no_query_and_no_id_of_a_thing() -> None:
    lines: list[dict[str, Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope.update(endpoint=app, path_params={"payment_id": "payment_7"})
        scope["state"].update(principal=Somebody, request_id="req_1")
        await Response(status_code=201)(scope, receive, send)

    scope = scope_of("/v1/payments/payment_7", query_string=b"token=hunter2")
    await answer(AccessLogMiddleware(app, write=lines.append), scope)
    (line,) = lines
    assert line.pop("duration_ms") >= 0
    assert line == {
        "method": "GET",
        "path": "/v1/payments/{payment_id}",
        "status": 201,
        "request_id": "req_1",
        "user_id": "user_1",
    }


async def test_a_request_that_breaks_is_logged_and_counted_too() -> None:
    lines: list[dict[str, Any]] = []
    metrics = Metrics()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError

    layer = AccessLogMiddleware(MetricsMiddleware(app, metrics=metrics), write=lines.append)
    with pytest.raises(RuntimeError):
        await answer(layer, scope_of("/v1/x"))
    assert lines[0]["status"] == 499
    assert metrics.requests.in_flight == 0
    assert 'route="unmatched",status="499"} 1.0' in generate_latest(metrics.registry).decode()


def test_figures_are_cumulative_histograms() -> None:
    metrics = Metrics()
    for duration_ns in (900_000, 1_000_000, 3_000_000, 60_000_000_000):
        metrics.requests.record(method="GET", route="/r", status=200, duration_ns=duration_ns)
    metrics.requests.record(method="BREW", route="/r", status=405, duration_ns=1)
    text = generate_latest(metrics.registry).decode()
    assert 'guilder_http_requests_total{method="GET",route="/r",status="200"} 4.0' in text
    assert 'method="other"' in text
    assert "BREW" not in text
    for bound, count in (("0.001", 2), ("0.0025", 2), ("0.005", 3), ("5.0", 3), ("+Inf", 4)):
        assert f'_bucket{{le="{bound}",method="GET",route="/r"}} {float(count)}' in text
    assert 'guilder_http_request_seconds_count{method="GET",route="/r"} 4.0' in text


@pytest.mark.parametrize(
    "body", [b'{"a":1}', b"[]", b'{"a":{"b":1},"b":1}', b'{"a":"\\\\u0000"}', '{"ä":"💶"}'.encode()]
)
def test_unambiguous_json_passes(body: bytes) -> None:
    check_json(body)


@pytest.mark.parametrize(
    "body",
    [b'{"a":1,"a":1}', b'{"a":"\\u0000"}', b'{"a":"\\\\\\u0000"}', b'"\\ud800"', b"NaN", b"[1e5",
     b"\xff", b"[" * 50_000, b"1" * 5_000, b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16")],
)  # fmt: skip
def test_asvs_1_5_3_ambiguous_json_does_not(body: bytes) -> None:
    with pytest.raises(Malformed):
        check_json(body)


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/a%20b", b"", 200),
        ("/a", b"x=1&y=2&&", 200),
        ("/a", b"x=%C3%A9", 200),
        ("/a%2", b"", 400),
        ("/a%00", b"", 400),
        ("/a", b"x=%0", 400),
        ("/a", b"x=1&x=1", 400),
        ("/a", b"x=1&%78=2", 400),
        ("/a", b"x=%ff", 400),
        ("/a", b"x" * 4_097, 400),
        ("/" + "a" * 1_024, b"", 400),
    ],
)
async def test_addresses(path: str, query: bytes, status: int) -> None:
    layer = StrictUrlMiddleware(reads_everything)
    assert (await answer(layer, scope_of(path, query_string=query))).status == status
