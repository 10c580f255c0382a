"""Is the process up, can it serve, and how is it doing: `/healthz`, `/readyz`, `/metrics`."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from guilder.kernel.errors import NotFound
from guilder.middlewares.problems import render

CHECK_TIMEOUT_S: Final = 2
Check = Callable[[], Awaitable[str]]
"""Returns a word or two about a thing that is well; raises if it is not."""
Figures = Callable[[], Awaitable[CollectorRegistry]]
"""Returns the figures of this moment."""

_NO_STORE: Final = {"Cache-Control": "no-store"}


async def healthz(_: Request) -> Response:
    """Answer that the process is up. Asks nothing else, so that a database away restarts nobody."""
    return JSONResponse({"status": "ok"}, headers=_NO_STORE)


def ready_route(checks: Mapping[str, Check]) -> Route:
    """Return `/readyz`: 200 if every check is well, else 503; the details say which is not."""

    async def readyz(_: Request) -> Response:
        results = dict(
            zip(checks, await asyncio.gather(*map(_outcome, checks.values())), strict=True)
        )
        is_ready = all(result["ok"] for result in results.values())
        body = {"status": "ready" if is_ready else "not_ready", "checks": results}
        return JSONResponse(body, status_code=200 if is_ready else 503, headers=_NO_STORE)

    return Route("/readyz", readyz, methods=["GET"])


async def _outcome(check: Check) -> dict[str, bool | str]:
    """Run one check. What went wrong is named by class: its text may hold an address."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return {"ok": True, "detail": await check()}
    except Exception as error:  # noqa: BLE001 - whatever it is, we are not ready
        return {"ok": False, "detail": type(error).__name__}


def metrics_route(figures: Figures, *, token: str | None) -> Route:
    """Return `/metrics` in Prometheus' text form; with a token, a missing page to strangers."""

    async def metrics(request: Request) -> Response:
        if token is not None and not _carries(request, token):
            return render(NotFound(), request)
        said = generate_latest(await figures())
        return Response(said, media_type=CONTENT_TYPE_LATEST, headers=_NO_STORE)

    return Route("/metrics", metrics, methods=["GET"])


def _carries(request: Request, token: str) -> bool:
    """Tell whether a request carries the bearer token, in constant time."""
    given = request.headers.get("authorization", "")
    return hmac.compare_digest(given.encode(), b"Bearer " + token.encode())
