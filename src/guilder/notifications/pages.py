"""Development's mailbox as a page and as JSON, for whoever sits at this machine."""

from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from guilder.kernel.clock import rfc3339
from guilder.kernel.errors import NotFound
from guilder.middlewares.pages import Page
from guilder.notifications.mailbox import KeptLetter, Mailbox
from guilder.notifications.rules import is_link

PATH: Final = "/mailbox"
_PAGE: Final = Page("guilder.notifications", "mailbox.html")
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")


def mailbox_routes() -> list[Route]:
    """Return the page and its JSON. For development only: whoever reads them has every code.

    They are no part of the API, and so not in its description.
    """
    return [
        Route(PATH, _show_page, methods=["GET"], name="mailbox"),
        Route(f"{PATH}.json", _show_json, methods=["GET"], name="mailbox_json"),
    ]


async def _show_page(request: Request) -> Response:
    letters = [_shown(letter) for letter in await _letters(request)]
    html, headers = _PAGE.render({"letters": letters})
    return HTMLResponse(html, headers=headers)


async def _show_json(request: Request) -> Response:
    """Answer `{"data": [...]}`, newest first; `?to=` leaves only those to one receiver."""
    to = request.query_params.get("to")
    data = [
        {**_shown(letter), "created_at": rfc3339(letter.created_at)}
        for letter in await _letters(request)
        if to is None or letter.to == to
    ]
    return JSONResponse({"data": data}, headers={"Cache-Control": "no-store"})


async def _letters(request: Request) -> list[KeptLetter]:
    """Return the letters, if it is this machine that asks.

    Raises:
        NotFound: Somebody else asks: through the network, through a proxy, or a page of somebody
            else's in a browser of this machine, which has pointed a name of its own at us.
    """
    mailbox: Mailbox | None = getattr(request.app.state, "mailbox", None)
    client = request.client.host if request.client else ""
    is_here = _is_loopback(client) and _is_loopback(_host_of(request))
    if mailbox is None or not is_here or any(name in request.headers for name in _FORWARDED):
        raise NotFound
    return await mailbox.letters()


def _host_of(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(letter: KeptLetter) -> dict[str, Any]:
    link = letter.values.get("link", "")
    return {
        "id": letter.id,
        "channel": letter.channel.value,
        "to": letter.to,
        "template": letter.template,
        "subject": letter.subject,
        "text": letter.text,
        "values": dict(letter.values),
        "link": link if is_link(link) else None,
        "created_at": letter.created_at,
    }
