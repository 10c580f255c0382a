"""A real server on loopback, for tests that speak HTTP."""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI

from guilder.app import create_app
from guilder.settings import Settings
from guilder.web.server import Server, listen, make_server

PASSWORD = "seven green kettles sing"
_numbers = itertools.count(1)


class QuietServer(Server):
    """A server that leaves the signals to pytest."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True)
class Running:
    """A running Guilder."""

    app: FastAPI
    settings: Settings
    server: Server
    client: httpx2.AsyncClient

    @property
    def address(self) -> tuple[str, int]:
        return self.settings.host, self.settings.port

    async def person(self) -> "Person":
        """Register somebody new and sign them in."""
        email = f"payer-{next(_numbers)}-{secrets.token_hex(4)}@example.com"
        body = {"name": "Payer", "email": email, "password": PASSWORD}
        user = (await self.client.post("/v1/register", json=body)).raise_for_status().json()
        signed_in = await self.client.post("/v1/login", json={"email": email, "password": PASSWORD})
        return Person(self.client, user, signed_in.raise_for_status().json()["access_token"])


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in."""

    client: httpx2.AsyncClient
    user: dict[str, Any]
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def get(self, path: str) -> httpx2.Response:
        return await self.client.get(path, headers=self.headers)

    async def post(self, path: str, body: object, *, key: str | None = None) -> httpx2.Response:
        headers = self.headers | {"Idempotency-Key": key or secrets.token_hex(16)}
        return await self.client.post(path, json=body, headers=headers)


@contextlib.asynccontextmanager
async def running(**overrides: Any) -> AsyncIterator[Running]:
    """Run Guilder with these settings on a free port."""
    settings = Settings(**{"bcrypt_cost": 4, "access_log": False, "port": 0, **overrides})
    with listen(settings.host, settings.port) as listener:
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        app = create_app(settings)
        server = serving(app, settings)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                if task.done():
                    raise app.state.failure
                await asyncio.sleep(0.01)
            here = f"http://{settings.host}:{settings.port}"
            async with httpx2.AsyncClient(base_url=here, timeout=30) as client:
                yield Running(app, settings, server, client)
        finally:
            server.should_exit = True
            await task


def serving(app: Any, settings: Settings) -> Server:
    """Return the server that `guilder serve` runs."""
    return QuietServer(
        make_server(
            app,
            header_bytes_max=settings.header_limit_bytes,
            request_timeout_s=settings.request_timeout_s,
            connections_max=settings.connections_max,
            shutdown_timeout_s=settings.shutdown_timeout_s,
        ).config,
        on_ready=lambda _: None,
    )


def settings_for(data_directory: Path, **more: Any) -> dict[str, Any]:
    """Return settings for tests: fast hashing, no limits unless asked for."""
    return {"data_directory": data_directory, "rate_limit_enabled": False, **more}
