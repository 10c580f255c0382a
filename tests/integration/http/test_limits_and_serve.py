"""Limits on the real server, and `serve` as a real process."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from guilder.app import UnsafeSettings, serve
from guilder.settings import Settings, environment_without_settings
from tests.support.databases import Database
from tests.support.shared_guilder import Start

SERVE = """
from guilder.app import serve
from guilder.settings import load_settings
serve(load_settings())
"""


async def test_asvs_2_4_1_sign_in_is_limited_per_address(start: Start) -> None:
    async with start(rate_limit_enabled=True, rate_limit_sign_in="3/3600") as other:
        body = {"email": "nobody@limits.example", "password": "wrong-wrong-wrong"}
        statuses = [
            (await other.client.post(path, json=body)).status_code
            for path in ("/login", "/v1/login", "/login", "/v1/login")
        ]
        assert statuses == [401, 401, 401, 429]
        refused = await other.client.post("/login", json=body)
        assert refused.json()["code"] == "rate_limited"
        assert int(refused.headers["retry-after"]) > 1_000
        assert refused.headers["ratelimit-policy"] == '"sign-in";q=3;w=3600'
        pretending = {"X-Forwarded-For": "198.51.100.77"}
        again = await other.client.post("/login", json=body, headers=pretending)
        assert again.status_code == 429
        assert (await other.client.get("/healthz")).status_code == 200


async def test_asvs_4_1_3_a_trusted_proxy_is_believed(start: Start) -> None:
    limits = {"rate_limit_enabled": True, "rate_limit_sign_in": "1/3600"}
    async with start(**limits, trusted_proxies="127.0.0.1") as other:
        body = {"email": "proxied@limits.example", "password": "wrong-wrong-wrong"}
        for address, status in (
            ("198.51.100.1", 401),
            ("198.51.100.1", 429),
            ("198.51.100.2", 401),
        ):
            headers = {"X-Forwarded-For": address}
            got = await other.client.post("/login", json=body, headers=headers)
            assert got.status_code == status


async def test_asvs_2_4_1_a_user_is_limited(start: Start) -> None:
    async with start(rate_limit_enabled=True, rate_limit_user="3/3600") as other:
        one, two = await other.person(), await other.person()
        statuses = [(await one.get("/v1/users/me")).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert (await two.get("/v1/users/me")).status_code == 200


async def test_asvs_16_2_5_the_log_knows_no_secret(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    async with start(access_log=True) as other:
        somebody = await other.person()
        await somebody.get("/v1/transactions?cursor=private-cursor")
        email, token = somebody.user["email"], somebody.token
    logged = capfd.readouterr().err
    lines = [json.loads(line) for line in logged.splitlines() if '"event":"request"' in line]
    assert {line["path"] for line in lines} >= {"/v1/register", "/v1/login"}
    told = {(line["path"], line.get("user_id")) for line in lines}
    assert ("/v1/transactions", somebody.user["id"]) in told
    for secret in (email, token, "private-cursor", "seven green kettles sing"):
        assert secret not in logged


def test_production_does_not_start_with_unsafe_settings(tmp_path: Path) -> None:
    settings = Settings(
        environment="production",
        signing_key=SecretStr(secrets.token_urlsafe(48)),
        pepper=SecretStr(secrets.token_urlsafe(48)),
        public_url="http://pay.example.com",
        data_directory=tmp_path,
    )
    with pytest.raises(UnsafeSettings, match="public_url"):
        serve(settings, announce=lambda _: None)


@pytest.fixture
def process(http_database: Database, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    environment = environment_without_settings() | {
        "GUILDER_DATABASE_URL": http_database.url,
        "GUILDER_DATABASE_OWNER_URL": http_database.owner_url,
        "GUILDER_DATA_DIRECTORY": str(tmp_path / "data"),
        "GUILDER_PORT": "0",
    }
    with subprocess.Popen(
        [sys.executable, "-c", SERVE],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_where_it_is_and_ends_cleanly(
    process: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Guilder is ready at http://127.0.0.1:")
    assert "/docs" in line
    url = line.split(" at ")[1].split(" ")[0]
    assert httpx2.get(f"{url}/readyz", timeout=10).status_code == 200
    os.kill(process.pid, number)
    out, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert out == ""
    assert "Traceback" not in errors
