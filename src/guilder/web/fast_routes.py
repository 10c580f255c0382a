"""The short way to the money routes: past the framework's layers, which cost more than they do."""

from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from guilder.kernel.errors import check

Endpoint = Callable[[Request], Awaitable[Response]]


class FastRoutesMiddleware:
    """Calls the endpoint of a route without parameters straight from its method and path.

    The same routes stand in the application's router too: there they answer other methods (405)
    and show in lists. Errors go up to the problem layer.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[Route]) -> None:
        """Wrap `app`; `routes` have no path parameters."""
        self.app = app
        self.endpoints: dict[tuple[str, str], Endpoint] = {}
        for route in routes:
            check("{" not in route.path, "a fast route has no path parameters")
            for method in (route.methods or set()) - {"HEAD"}:
                self.endpoints[method, route.path] = route.endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the short way if there is one."""
        if scope["type"] == "http":
            endpoint = self.endpoints.get((scope["method"], scope["path"]))
            if endpoint is not None:
                scope["endpoint"] = endpoint
                response = await endpoint(Request(scope, receive, send))
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)
