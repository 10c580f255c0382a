"""What every answer of the real server has, and how the server itself behaves."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.http import Running
from tests.support.shared_guilder import Start

PROBLEM = {"type", "title", "status", "code", "detail", "instance", "request_id", "retryable"}


def is_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a problem of this code, and return its body."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert set(body) - {"errors"} == PROBLEM
    assert body["code"] == code
    assert body["status"] == status
    assert body["type"].endswith("/" + code)
    assert body["request_id"] == response.headers["request-id"]
    return body


async def test_every_answer_has_the_headers_that_guard_browsers(guilder: Running) -> None:
    for path in ("/healthz", "/nothing-here", "/docs", "/openapi.json", "/v1/wallet"):
        headers = (await guilder.client.get(path)).headers
        assert headers["strict-transport-security"].startswith("max-age=63072000"), path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["request-id"].startswith("req_")
        assert "server" not in headers


async def test_a_sane_request_id_comes_back_and_others_are_replaced(guilder: Running) -> None:
    async def answered(given: str) -> str:
        response = await guilder.client.get("/healthz", headers={"Request-Id": given})
        return str(response.headers["request-id"])

    assert await answered("retry-of-7-abc") == "retry-of-7-abc"
    for refused in ("short", "x" * 65, "has space in it", "4242424242424242", "a;b=c{}<script>"):
        assert (await answered(refused)).startswith("req_"), refused


async def test_a_path_that_does_not_exist_is_a_problem(guilder: Running) -> None:
    body = is_problem(await guilder.client.get("/v1/nowhere"), 404, "not_found")
    assert body["instance"] == "/v1/nowhere"


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "GET"])
@pytest.mark.parametrize("path", ["/v1/login", "/wallet/transfer", "/v1/wallet/add-funds"])
async def test_asvs_4_1_4_other_methods_are_refused_with_those_allowed(
    guilder: Running, method: str, path: str
) -> None:
    response = await guilder.client.request(method, path)
    is_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


async def test_allow_names_every_method_of_a_path(guilder: Running) -> None:
    response = await guilder.client.request("DELETE", "/v1/schedules")
    is_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, POST"


async def test_head_of_a_resource_is_never_a_server_error(guilder: Running) -> None:
    for path in ("/v1/wallet", "/v1/login", "/healthz", "/docs", "/nothing"):
        response = await guilder.client.head(path)
        assert response.status_code in {200, 404, 405}
        assert not response.content


async def test_a_trailing_slash_is_another_path(guilder: Running) -> None:
    is_problem(await guilder.client.post("/v1/login/", json={}), 404, "not_found")


async def test_healthz_and_readyz_say_how_it_is(guilder: Running) -> None:
    assert (await guilder.client.get("/healthz")).json() == {"status": "ok"}
    ready = await guilder.client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert all(check["ok"] for check in ready.json()["checks"].values())


async def test_readyz_is_503_without_a_journal_or_database(start: Start) -> None:
    async with start() as other:
        await other.app.state.journal.stop()
        response = await other.client.get("/readyz")
        assert response.status_code == 503
        checks = response.json()["checks"]
        assert checks["journal"] == {"ok": False, "detail": "Unavailable"}
        assert checks["database"]["ok"]
        assert (await other.client.get("/healthz")).status_code == 200


async def test_readyz_hides_why_the_database_is_away(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise ConnectionError("postgresql://app:hunter2@db.internal")

    async with start() as other:
        monkeypatch.setattr(other.app.state.storage, "ping", away)
        response = await other.client.get("/readyz")
        assert response.status_code == 503
        assert response.json()["checks"]["database"] == {"ok": False, "detail": "ConnectionError"}
        assert "hunter2" not in response.text


async def test_metrics_count_by_route_and_show_the_journal(guilder: Running) -> None:
    await guilder.client.get("/v1/payments/payment_01h455vb4pex5vsknk084sn02q")
    text = (await guilder.client.get("/metrics")).text
    assert 'route="/v1/payments/{payment_id}",status="401"' in text
    assert "payment_01h455vb4pex5vsknk084sn02q" not in text
    assert "guilder_journal_running 1.0" in text
    assert "guilder_http_requests_in_flight 1.0" in text


async def test_metrics_with_a_token_do_not_exist_for_strangers(start: Start) -> None:
    token = "k7Qm2Zr9Xw4Lp8Ty1Vb6Nc3Jd5Hf0GsAeUiRo"
    async with start(metrics_token=token) as other:
        is_problem(await other.client.get("/metrics"), 404, "not_found")
        wrong = {"Authorization": "Bearer " + "x" * len(token)}
        is_problem(await other.client.get("/metrics", headers=wrong), 404, "not_found")
        right = {"Authorization": f"Bearer {token}"}
        assert (await other.client.get("/metrics", headers=right)).status_code == 200


async def test_asvs_16_5_1_an_unexpected_error_says_nothing_about_itself(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret of the house")

    async with start() as other:
        somebody = await other.person()
        monkeypatch.setattr(other.app.state.wallets, "view", broken)
        response = await somebody.get("/v1/wallet")
        is_problem(response, 500, "internal")
        assert "secret of the house" not in response.text
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_asvs_3_6_1_docs_load_nothing_from_elsewhere(guilder: Running) -> None:
    page = await guilder.client.get("/docs")
    assert page.headers["content-security-policy"].startswith(
        "default-src 'none'; script-src 'self'"
    )
    for path in ("/docs/docs.js", "/docs/docs.css"):
        assert f'"{path}"' in page.text
        assert (await guilder.client.get(path)).status_code == 200
    script = (await guilder.client.get("/docs/docs.js")).text
    for text in (page.text, script):
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text


async def test_asvs_13_4_5_production_shows_neither_docs_nor_metrics_nor_simulator(
    start: Start,
) -> None:
    secrets = ("Yb1xQv7Zk3Lm9Rt5Wc2Nd8Hs4Jf6Gp0UaEoIi", "Pq8Wz5Xn2Vb7Mc4Lk9Jh1Gf6Ds3Aq0RtYuOe")
    production = {
        "environment": "production",
        "signing_key": secrets[0],
        "pepper": secrets[1],
        "public_url": "https://pay.example.com",
        "bcrypt_cost": 10,
    }
    async with start(**production) as other:
        for path in ("/docs", "/openapi.json", "/metrics", "/simulator/checkout/x"):
            is_problem(await other.client.get(path), 404, "not_found")


async def test_requests_in_flight_end_before_the_server_stops(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()
    async with start() as other:
        somebody = await other.person()
        view = other.app.state.wallets.view

        async def slow(wallet_id: str) -> Any:
            entered.set()
            await leave.wait()
            return await view(wallet_id)

        monkeypatch.setattr(other.app.state.wallets, "view", slow)
        asked = asyncio.create_task(somebody.get("/v1/wallet"))
        await entered.wait()
        other.server.should_exit = True
        while other.server.servers[0].is_serving():  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.01)
        leave.set()
        assert (await asked).status_code == 200
    assert not other.app.state.journal.is_running


async def test_openapi_is_complete(guilder: Running) -> None:
    document = (await guilder.client.get("/openapi.json")).json()
    ids = []
    for path, item in document["paths"].items():
        for operation in item.values():
            ids.append(operation["operationId"])
            assert operation["tags"], path
            for status, response in operation["responses"].items():
                assert "Request-Id" in response["headers"]
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (path, status)
                    for code, example in response["content"]["application/problem+json"][
                        "examples"
                    ].items():
                        assert example["value"]["code"] == code
            assert {"429", "500", "503"} <= set(operation["responses"]), path
    assert len(ids) == len(set(ids))
    for path in ("/register", "/login", "/wallet", "/transactions", "/wallet/transfer"):
        assert set(document["paths"][path]) == set(document["paths"]["/v1" + path])
    assert "HTTPValidationError" not in json.dumps(document)
    assert document["components"]["securitySchemes"]
    _all_references_resolve(document)


def _all_references_resolve(document: dict[str, Any]) -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                found: Any = document
                for part in node["$ref"].removeprefix("#/").split("/"):
                    found = found[part]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)
