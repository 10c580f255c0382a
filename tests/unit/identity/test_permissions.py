"""A route that does not say who may use it does not get in, and a request has one credential."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from guilder.identity.authentication import Authenticator, Principal, authenticate
from guilder.identity.errors import Unauthenticated
from guilder.identity.permissions import (
    PUBLIC,
    Permission,
    access_of,
    authorizes,
    check_declared,
    needs,
    public,
    security,
)
from guilder.identity.tokens import AccessTokens
from guilder.kernel.errors import InvariantViolation
from guilder.kernel.ids import SessionId, UserId, WalletId
from tests.support.asgi import scope_of
from tests.support.identity import SIGNING_KEY, HandClock

ALICE = Principal(UserId("user_a"), WalletId("wallet_a"), SessionId("session_a"))
BOB = Principal(UserId("user_b"), WalletId("wallet_b"), SessionId("session_b"))


@public
async def open_to_all(_: Request) -> Response:
    return Response()


async def silent(_: Request) -> Response:
    return Response()


@authorizes(Permission.TRANSFERS_WRITE)
async def by_itself(_: Request) -> Response:
    return Response()


async def asking(_who: Annotated[Principal, needs(Permission.WALLET_READ)]) -> None:
    return None


def test_what_a_route_declares_is_found_wherever_it_is_included() -> None:
    inner, outer, app = APIRouter(), APIRouter(), FastAPI(openapi_url=None)
    inner.get("/asking")(asking)
    outer.include_router(inner, prefix="/inner")
    app.include_router(outer, prefix="/v1")
    app.router.routes += [Route("/open", open_to_all), Route("/itself", by_itself)]
    found = {route.path: route.access for route in access_of(app.routes)}
    assert found["/v1/inner/asking"] == "wallet:read"
    assert found["/open"] == PUBLIC
    assert found["/itself"] == "transfers:write"
    assert security(Permission.WALLET_READ) == [{"HTTPBearer": ["wallet:read"]}]


@pytest.mark.parametrize(
    "route", [Route("/silent", silent), Mount("/silent", FastAPI())], ids=["route", "mount"]
)
def test_a_route_that_declares_nothing_is_refused_by_name(route: Any) -> None:
    check_declared([Route("/open", open_to_all)])
    with pytest.raises(InvariantViolation, match=r"do not: .*/silent"):
        check_declared([Route("/open", open_to_all), route])


def test_a_route_that_declares_two_things_is_refused() -> None:
    app = FastAPI(openapi_url=None)

    @app.get("/both")
    @public
    async def both(_who: Annotated[Principal, needs(Permission.WALLET_READ)]) -> None:
        return None

    with pytest.raises(InvariantViolation, match="several"):
        list(access_of(app.routes))


class Sessions:
    def __init__(self) -> None:
        self.asked = 0

    def principal(self, access_token: str) -> Principal:
        self.asked += 1
        if access_token != "alice":
            raise Unauthenticated
        return ALICE


class Others:
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def principal(self, credential: str, connection: HTTPConnection) -> Principal:
        self.asked.append(credential)
        return BOB


class World:
    def __init__(self) -> None:
        self.sessions, self.keys, self.cookies = Sessions(), Others(), Others()
        self.authenticator = Authenticator(self.sessions)
        self.authenticator.add_prefix("key_", self.keys)
        self.authenticator.add_cookie("__Host-test", self.cookies)
        self.app = FastAPI()
        self.app.state.authenticator = self.authenticator

    def request(self, *headers: tuple[str, str]) -> HTTPConnection:
        scope = scope_of(app=self.app)
        scope["headers"] = [(name.encode(), value.encode()) for name, value in headers]
        return HTTPConnection(scope)


async def test_each_kind_of_credential_goes_to_its_reader() -> None:
    world = World()
    assert await authenticate(world.request(("authorization", "Bearer alice"))) == ALICE
    assert await authenticate(world.request(("authorization", "bearer key_1"))) == BOB
    assert await authenticate(world.request(("cookie", "__Host-test=crumb"))) == BOB
    assert (world.keys.asked, world.cookies.asked) == (["key_1"], ["crumb"])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Basic alice")],
        [("authorization", "Bearer ")],
        [("authorization", "alice")],
        [("authorization", "Bearer mallory")],
        [("authorization", "Bearer alice"), ("authorization", "Bearer alice")],
        [("cookie", "__Host-test=")],
        [("cookie", "other=crumb")],
        [("authorization", "Basic alice"), ("cookie", "__Host-test=crumb")],
    ],
    ids=str,
)
async def test_anything_else_is_nobody(headers: list[tuple[str, str]]) -> None:
    world = World()
    with pytest.raises(Unauthenticated):
        await authenticate(world.request(*headers))
    assert not world.cookies.asked


async def test_a_header_goes_before_a_cookie_which_anybody_may_have_planted() -> None:
    world = World()
    request = world.request(("authorization", "Bearer alice"), ("cookie", "__Host-test=crumb"))
    assert await authenticate(request) == ALICE
    assert not world.cookies.asked


async def test_a_credential_is_looked_at_once_good_or_not() -> None:
    world = World()
    good, bad = (world.request(("authorization", f"Bearer {x}")) for x in ("alice", "mallory"))
    for _ in range(3):
        assert await authenticate(good) == ALICE
        with pytest.raises(Unauthenticated):
            await authenticate(bad)
    assert world.sessions.asked == 2


def test_each_prefix_and_each_cookie_has_one_reader() -> None:
    world = World()
    with pytest.raises(InvariantViolation):
        world.authenticator.add_prefix("key_", world.keys)
    with pytest.raises(InvariantViolation):
        world.authenticator.add_cookie("__Host-test", world.cookies)


def test_a_key_gets_no_access_token_that_would_outlive_its_limits() -> None:
    tokens = AccessTokens(
        keys=(SIGNING_KEY,),
        issuer="tests",
        audience="api",
        ttl_s=900,
        clock=HandClock(),
        cache_size=1,
    )
    with pytest.raises(InvariantViolation):
        tokens.issue(Principal(ALICE.user_id, ALICE.wallet_id, None, scopes=frozenset()))
