"""How a route says what it needs. One that says nothing does not get into the application."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from fastapi import Security
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from fastapi.security import HTTPAuthorizationCredentials
from starlette.requests import HTTPConnection, Request
from starlette.routing import BaseRoute

from guilder.identity.authentication import Principal, authenticate, bearer
from guilder.identity.roles import GRANTABLE, ROLE_PERMISSIONS, Permission, Role
from guilder.kernel.errors import check
from guilder.middlewares.access import PUBLIC, declared, marked, public

__all__ = [
    "GRANTABLE",
    "PUBLIC",
    "ROLE_PERMISSIONS",
    "Permission",
    "Principal",
    "Role",
    "RouteAccess",
    "access_of",
    "authorize",
    "authorizes",
    "check_declared",
    "needs",
    "public",
    "security",
]

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


class _Needs:
    """The dependency of a route that needs a permission; FastAPI calls it for each request."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(
        self,
        request: Request,
        _credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)] = None,
    ) -> Principal:
        return await authorize(request, self.permission)


_DEPENDENCIES: Final = {permission: _Needs(permission) for permission in Permission}


def needs(permission: Permission) -> Any:  # noqa: ANN401 - as FastAPI's own markers.
    """Mark the parameter of a route that needs a permission.

    `principal: Annotated[Principal, needs(Permission.WALLET_READ)]`: the route is called for nobody
    else, and OpenAPI names the permission.
    """
    return Security(_DEPENDENCIES[permission], scopes=[permission.value])


def security(permission: Permission) -> list[dict[str, list[str]]]:
    """Return what OpenAPI says of an operation whose route calls `authorize` by itself."""
    return [{bearer.scheme_name: [permission.value]}]


async def authorize(request: HTTPConnection, permission: Permission) -> Principal:
    """Return who sends the request, if he may do this. For routes that FastAPI does not call.

    Raises:
        Unauthenticated: There is no valid credential.
        Forbidden: The role or the key has not got the permission.
        SignedInWithoutSecondFactor: It is one of staff alone, and the session is not for that.
    """
    principal = await authenticate(request)
    principal.check(permission)
    return principal


def authorizes(permission: Permission) -> Callable[[_Endpoint], _Endpoint]:
    """Declare that an endpoint calls `authorize` with this permission by itself."""

    def mark(endpoint: _Endpoint) -> _Endpoint:
        return marked(endpoint, permission.value)

    return mark


@dataclass(frozen=True, slots=True)
class RouteAccess:
    """One way into the application.

    Args:
        methods: Sorted.
        path: With its parameters in braces.
        name: Of the function behind it.
        access: A permission, `PUBLIC`, or None where nothing is declared.
    """

    methods: tuple[str, ...]
    path: str
    name: str
    access: str | None

    def __str__(self) -> str:
        """Return what a person finds the route by."""
        return f"{'/'.join(self.methods)} {self.path} ({self.name})"


def access_of(routes: Sequence[BaseRoute]) -> Iterator[RouteAccess]:
    """Yield every route of an application, also of included routers, with what it declares.

    Raises:
        InvariantViolation: One declares several things, so it is not clear what holds.
    """
    for route in iter_route_contexts(routes):
        found = set[str]()
        mark = declared(route.endpoint)
        if mark is not None:
            found.add(mark)
        dependant: Dependant | None = getattr(route, "dependant", None)
        if dependant is not None:
            found.update(each.permission.value for each in _needs_of(dependant))
        access = RouteAccess(
            tuple(sorted(route.methods or ())),
            route.path or "",
            route.name or "",
            found.pop() if found else None,
        )
        check(not found, f"{access} declares several things")
        yield access


def check_declared(routes: Sequence[BaseRoute]) -> None:
    """Refuse an application with a route that does not say who may use it.

    Raises:
        InvariantViolation: It names the routes.
    """
    silent = [str(route) for route in access_of(routes) if route.access is None]
    check(
        not silent,
        "every route declares `needs(Permission....)`, `@authorizes(...)` or `@public`; "
        f"these do not: {', '.join(silent)}",
    )


def _needs_of(dependant: Dependant) -> Iterator[_Needs]:
    for each in dependant.dependencies:
        if isinstance(each.call, _Needs):
            yield each.call
        yield from _needs_of(each)
