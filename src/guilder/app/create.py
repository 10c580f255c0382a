"""Makes the application: routes, middlewares, description. Nothing is opened before it starts."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.routing import Route
from starlette.types import Scope

from guilder.app import features
from guilder.app.messages import has_mailbox
from guilder.app.services import readiness, run_services
from guilder.identity.authentication import authenticate
from guilder.identity.jwks import jwks_route
from guilder.identity.permissions import check_declared, public
from guilder.kernel.errors import GuilderError
from guilder.middlewares import problems
from guilder.middlewares.access_log import AccessLogMiddleware
from guilder.middlewares.body_limit import BodyLimitMiddleware
from guilder.middlewares.metrics import Metrics, MetricsMiddleware
from guilder.middlewares.rate_limit import RateLimitMiddleware, TokenBucket
from guilder.middlewares.request_id import RequestIdMiddleware
from guilder.middlewares.security_headers import SecurityHeadersMiddleware
from guilder.middlewares.strict_json import refuse_ambiguous_json
from guilder.middlewares.strict_url import StrictUrlMiddleware
from guilder.notifications.pages import mailbox_routes
from guilder.setting_values import Rate
from guilder.settings import Settings
from guilder.web.docs import docs_routes
from guilder.web.fast_routes import FastRoutesMiddleware
from guilder.web.health import healthz, metrics_route, ready_route
from guilder.web.logs import access_writer
from guilder.web.neighbours import Neighbours
from guilder.web.openapi import describe

PREFIX = features.PREFIX
_CREDENTIALS = frozenset({b"authorization", b"cookie"})


def create_app(settings: Settings, *, neighbours: Neighbours | None = None) -> FastAPI:
    """Return the application for these settings.

    Args:
        neighbours: This is one of several workers, for which another process runs and migrates
            the database.

    The database is opened, and background work begun, when a server starts it; both end with it.
    `app.state` then has `storage`, `journal`, `clock`, and a service for each feature.
    """
    metrics = Metrics()
    fast = features.fast_routes(PREFIX)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with run_services(app, settings, metrics.registry, neighbours):
                yield
        except Exception as error:
            # A server only logs that the app did not start; `serve` tells why.
            app.state.failure = error
            raise

    app = FastAPI(
        title="Guilder",
        version=version("guilder"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs_enabled else None,
        redirect_slashes=False,
        dependencies=[Depends(refuse_ambiguous_json)],
        middleware=_middlewares(settings, metrics, fast),
        generate_unique_id_function=lambda route: f"{route.name}|{route.path_format}",
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    problems.install(app)
    app.state.trusted_proxies = settings.trusted_proxies
    # The money path first: routes are tried in order.
    app.router.routes.extend(fast)
    features.include_routers(app, PREFIX)
    own = _own_routes(app, settings)
    if settings.metrics_enabled:
        own.append(_metrics(settings, metrics, neighbours))
    app.router.routes.extend(own)
    _declare(app, own)
    describe(app, server=settings.base_url, prefix=PREFIX)
    return app


def _declare(app: FastAPI, own: Sequence[Route]) -> None:
    """Refuse to be made with a route that does not say who may use it.

    Ours are for everybody, or ask for a token of their own.
    """
    for route in app.routes:
        if isinstance(route, Route) and (route in own or route.path == app.openapi_url):
            public(route.endpoint)
    check_declared(app.routes)


def _middlewares(settings: Settings, metrics: Metrics, fast: Sequence[Route]) -> list[Middleware]:
    """Return the layers, outermost first.

    What names and records a request is outside of what refuses it, so that refusals are named and
    recorded too; the problem layer is between, so that its answers carry every header.
    """
    layers = [Middleware(RequestIdMiddleware)]
    if settings.access_log:
        # Columns are for people, who wait anyway.
        write = access_writer() if settings.log_format == "json" else None
        layers.append(Middleware(AccessLogMiddleware, write=write))
    if settings.metrics_enabled:
        layers.append(Middleware(MetricsMiddleware, metrics=metrics))
    layers += [
        Middleware(SecurityHeadersMiddleware),
        Middleware(problems.ProblemsMiddleware),
        Middleware(StrictUrlMiddleware),
        Middleware(
            BodyLimitMiddleware,
            limit_bytes=settings.body_limit_bytes,
            limits_by_path={PREFIX + features.BATCH_PATH: settings.body_limit_batch_bytes},
        ),
    ]
    if settings.rate_limit_enabled:
        layers.append(_rate_limit(settings))
    layers.append(Middleware(FastRoutesMiddleware, routes=fast))
    return layers


def _rate_limit(settings: Settings) -> Middleware:
    """Return the layer that counts requests."""

    def bucket(name: str, text: str) -> TokenBucket:
        rate = Rate.parse(text)
        return TokenBucket(name, requests=rate.requests, seconds=rate.seconds)

    return Middleware(
        RateLimitMiddleware,
        address=bucket("address", settings.rate_limit_address),
        user=bucket("user", settings.rate_limit_user),
        sign_in=bucket("sign-in", settings.rate_limit_sign_in),
        identify=_user_of,
        trusted_proxies=settings.trusted_proxies,
    )


async def _user_of(scope: Scope) -> str | None:
    """Return the user that a request speaks for; the route that asks again gets the same answer."""
    if not any(name in _CREDENTIALS for name, _ in scope["headers"]):
        return None
    try:
        return str((await authenticate(HTTPConnection(scope))).user_id)
    except GuilderError:
        return None  # The route says what is wrong with it.


def _own_routes(app: FastAPI, settings: Settings) -> list[Route]:
    """Return what is about the server itself, not about money."""
    routes = [
        Route("/healthz", healthz, methods=["GET"]),
        ready_route(readiness(app)),
        jwks_route(),
    ]
    if has_mailbox(settings):
        routes += mailbox_routes()
    return routes + docs_routes() if settings.docs_enabled else routes


def _metrics(settings: Settings, metrics: Metrics, neighbours: Neighbours | None) -> Route:
    """Return the page of figures: ours, or those of all workers."""

    async def own() -> CollectorRegistry:
        return metrics.registry

    token = settings.metrics_token
    return metrics_route(
        neighbours.everything if neighbours else own,
        token=token.get_secret_value() if token else None,
    )
