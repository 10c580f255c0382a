"""The page about the API at `/docs`. All that it loads comes from here: it needs no network."""

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_STATIC: Final = Path(__file__).parent / "static"
_PAGES: Final = {
    "/docs": ("docs.html", "text/html"),
    "/docs/docs.js": ("docs.js", "text/javascript"),
    "/docs/docs.css": ("docs.css", "text/css"),
}


def docs_routes() -> list[Route]:
    """Return the page and its two files."""
    return [_route(path, *page) for path, page in _PAGES.items()]


def _route(path: str, name: str, media_type: str) -> Route:
    """Serve one file, read once."""
    content = (_STATIC / name).read_bytes()
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}

    async def page(_: Request) -> Response:
        return Response(content, media_type=media_type, headers=headers)

    return Route(path, page, methods=["GET"], name=name)
