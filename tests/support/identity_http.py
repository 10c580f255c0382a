"""The ways in over HTTP, and nothing else: no limits by address, no other feature."""

import contextlib
from collections.abc import AsyncIterator

import httpx2
from fastapi import FastAPI

from guilder.identity import contact_routes, routes
from guilder.identity.authentication import Authenticator
from guilder.identity.service import IdentityService
from guilder.middlewares import problems


@contextlib.asynccontextmanager
async def identity_client(identity: IdentityService) -> AsyncIterator[httpx2.AsyncClient]:
    """Lend a client of an application that has the service's own routes alone."""
    app = FastAPI()
    problems.install(app)
    for router in (routes.specification_router, routes.router, contact_routes.router):
        app.include_router(router, prefix="/v1")
    app.state.identity = identity
    app.state.authenticator = Authenticator(identity)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://tests/v1") as client:
        yield client
