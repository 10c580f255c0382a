"""HTTP of sessions: the list, their end, and sessions in cookies."""

from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Path, Query, Request, Response

from guilder.identity.cookies import (
    ACCESS_COOKIE,
    PATH,
    REFRESH_COOKIE,
    CookieSessions,
    remember_device,
)
from guilder.identity.devices import device_of
from guilder.identity.errors import (
    CsrfRefused,
    Forbidden,
    RefreshTokenInvalid,
    RefreshTokenReused,
    Unauthenticated,
)
from guilder.identity.permissions import Permission, Principal, needs, public
from guilder.identity.routes import IdempotencyKey, identity_of
from guilder.identity.session_schemas import (
    CookieSessionAnswer,
    CookieSessionBody,
    EndSessionsQuery,
    SessionAnswer,
    SessionsAnswer,
    SessionsQuery,
)
from guilder.identity.sessions import SignIn
from guilder.kernel.errors import InvalidRequest, Malformed, NotFound, Unavailable
from guilder.kernel.ids import SessionId, decode_id
from guilder.kernel.pages import CursorMismatch, decode_cursor, encode_cursor, page_of
from guilder.middlewares.client_address import address_of
from guilder.middlewares.errors import RateLimited, UnsupportedMediaType
from guilder.middlewares.problems import error_responses

router = APIRouter(tags=["Identity"])
"""Under the prefix only."""

_MINE = (Unauthenticated, Forbidden, RateLimited, Unavailable)
_COOKIES = (CsrfRefused, RefreshTokenInvalid, RefreshTokenReused, RateLimited, Unavailable)
_PRIVATE = {"Cache-Control": "no-store"}
_PREFIX = "session"


def cookies_of(request: Request) -> CookieSessions:
    """Return what the application was composed with."""
    return cast("CookieSessions", request.app.state.cookies)


@router.get(
    "/sessions",
    summary="List your sessions",
    responses=error_responses(*_MINE, InvalidRequest, Malformed, CursorMismatch),
)
async def list_sessions(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.SECURITY_READ)],
    query: Annotated[SessionsQuery, Query()],
) -> SessionsAnswer:
    """Return where you are signed in: device, place and last use, the latest sign-in first."""
    identity = identity_of(request)
    user = await identity.get_user(principal.user_id)
    if user is None:
        raise Unauthenticated
    filters = {"list": "sessions", "of": user.id}
    after = None
    if query.cursor is not None:
        after = decode_cursor(query.cursor, filters, place=tuple[datetime, str])
    page = page_of(
        await identity.own_sessions.page(user, after=after, limit=query.limit + 1),
        limit=query.limit,
        cursor=lambda last: encode_cursor((last.created_at, last.id), filters),
    )
    response.headers.update(_PRIVATE)
    return SessionsAnswer(
        data=[
            SessionAnswer.of(
                each, identity.own_sessions.place_of(each), current=principal.session_id
            )
            for each in page.data
        ],
        has_more=page.has_more,
        next_cursor=page.next_cursor,
    )


@router.delete(
    "/sessions/{session_id}",
    status_code=204,
    summary="End a session",
    responses=error_responses(*_MINE, CsrfRefused, NotFound),
)
async def end_session(
    session_id: Annotated[str, Path(examples=["session_01h455vb4pex5vsknk084sn02q"])],
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.SECURITY_WRITE)],
) -> None:
    """End one of your sessions: its refresh token, and within a second everywhere its access
    tokens. Ending it twice ends it once.
    """
    decode_id(_PREFIX, session_id)
    await identity_of(request).own_sessions.end_one(
        principal.user_id, session_id, client=address_of(request)
    )
    if session_id == principal.session_id:
        _forget(request, response)
    response.headers.update(_PRIVATE)


@router.delete(
    "/sessions",
    status_code=204,
    summary="End your other sessions",
    responses=error_responses(*_MINE, CsrfRefused, InvalidRequest),
)
async def end_sessions(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.SECURITY_WRITE)],
    query: Annotated[EndSessionsQuery, Query()],
) -> None:
    """End all your sessions but this one; with `all=true` this one too.

    Within a second nothing that belongs to them is accepted anywhere.
    """
    await identity_of(request).own_sessions.end_others(
        principal.user_id,
        but=None if query.all else principal.session_id,
        client=address_of(request),
    )
    if query.all:
        _forget(request, response)
    response.headers.update(_PRIVATE)


@router.post(
    PATH,
    summary="Put a session into cookies",
    responses=error_responses(*_COOKIES, Malformed, UnsupportedMediaType, InvalidRequest),
)
@public
async def open_cookie_session(
    body: CookieSessionBody, request: Request, response: Response, _key: IdempotencyKey = None
) -> CookieSessionAnswer:
    """Trade the refresh token of a sign-in for cookies that no script can read.

    For pages in a browser. From then on requests need no `Authorization`; whatever changes
    something sends `CSRF-Token`. The refresh token is used up. An `Idempotency-Key` is accepted
    and changes nothing: for 10 seconds the same request gets the same session again.
    """
    cookies_of(request).check_origin(request)
    answer = await _refreshed(body.refresh_token.get_secret_value(), request, response)
    if body.device_token is not None:
        remember_device(request, response, body.device_token)
    return answer


@router.post(
    PATH + "/refresh",
    summary="Refresh a session in cookies",
    responses=error_responses(*_COOKIES),
)
@public
async def refresh_cookie_session(
    request: Request, response: Response, _key: IdempotencyKey = None
) -> CookieSessionAnswer:
    """Replace the cookies of a session. Send `CSRF-Token`.

    An `Idempotency-Key` is accepted and not needed: tabs that refresh at once get the same cookies.
    """
    token = request.cookies.get(REFRESH_COOKIE, "")
    cookies_of(request).check(request, _session_of(request, token))
    return await _refreshed(token, request, response)


@router.delete(
    PATH,
    status_code=204,
    summary="Sign out of a session in cookies",
    responses=error_responses(CsrfRefused, RateLimited, Unavailable),
)
@public
async def end_cookie_session(request: Request, response: Response) -> None:
    """End the session in the cookies, and have the browser forget what pages kept of it. Send
    `CSRF-Token`. Without cookies nothing ends, and the answer is the same.
    """
    cookies = cookies_of(request)
    token = request.cookies.get(REFRESH_COOKIE)
    if token is None:
        cookies.check_origin(request)
    else:
        session_id = identity_of(request).sessions.session_of(token)
        # What is none of ours has no session to protect: forgetting it must always work.
        if session_id is not None:
            cookies.check(request, session_id)
            await identity_of(request).logout(token, client=address_of(request))
    cookies.take_back(response)
    response.headers.update(_PRIVATE)


async def _refreshed(token: str, request: Request, response: Response) -> CookieSessionAnswer:
    sign_in: SignIn = await identity_of(request).refresh(
        token, client=address_of(request), device=device_of(request)
    )
    session_id = _session_of(request, sign_in.refresh_token)
    csrf_token = cookies_of(request).give(response, sign_in, session_id)
    response.headers.update(_PRIVATE)
    return CookieSessionAnswer.of(sign_in, csrf_token)


def _session_of(request: Request, token: str) -> SessionId:
    session_id = identity_of(request).sessions.session_of(token)
    if session_id is None:
        raise RefreshTokenInvalid
    return session_id


def _forget(request: Request, response: Response) -> None:
    if ACCESS_COOKIE in request.cookies:
        cookies_of(request).take_back(response)
