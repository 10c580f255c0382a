"""HTTP of administration. A missing permission is refused before anything is looked up."""

from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Path, Query, Request, Response

from guilder.admin.errors import OwnRole
from guilder.admin.schemas import EventAnswer, EventsAnswer, EventsQuery, PersonAnswer, RoleBody
from guilder.admin.service import Administration
from guilder.audit.trail import Search
from guilder.identity.permissions import Permission, Principal, needs
from guilder.identity.step_up import STEP_UP_ERRORS, STEP_UP_PARAMETER, given_of, step_up_of
from guilder.kernel.errors import NotFound
from guilder.kernel.pages import decode_cursor, encode_cursor, page_of
from guilder.middlewares.client_address import address_of
from guilder.middlewares.errors import UnsupportedMediaType
from guilder.middlewares.problems import error_responses
from guilder.wallets import route_errors

router = APIRouter(tags=["Administration"])
"""Under the prefix only."""

UserIdText = Annotated[str, Path(examples=["user_01h2xcejqtf2nbrexx3vqjhp41"])]


def administration_of(request: Request) -> Administration:
    """Return the service that the application was composed with."""
    return cast(Administration, request.app.state.administration)


@router.get(
    "/admin/users/{user_id}",
    summary="Show a user to staff",
    responses=error_responses(*route_errors.READ, NotFound),
)
async def show_person(
    user_id: UserIdText,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.USERS_READ)],
) -> PersonAnswer:
    """Return somebody's record, the address and the number masked. Every look is recorded."""
    response.headers["Cache-Control"] = "no-store"
    person = await administration_of(request).person(
        user_id, seen_by=principal, client=address_of(request)
    )
    return PersonAnswer.of(person)


@router.put(
    "/admin/users/{user_id}/role",
    summary="Set somebody's role",
    responses=error_responses(
        *route_errors.READ, UnsupportedMediaType, OwnRole, NotFound, *STEP_UP_ERRORS
    ),
    openapi_extra={"parameters": [STEP_UP_PARAMETER]},
)
async def set_role(
    user_id: UserIdText,
    body: RoleBody,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.ROLES_WRITE)],
) -> PersonAnswer:
    """Give somebody a role. What the old one allowed ends within a second everywhere.

    Nobody sets their own. Asks for a fresh factor.
    """
    response.headers["Cache-Control"] = "no-store"
    if user_id == principal.user_id:
        raise OwnRole
    await step_up_of(request).require(
        principal,
        operation="role",
        binding={"user_id": user_id, "role": body.role},
        given=given_of(request),
    )
    person = await administration_of(request).set_role(
        user_id, body.role, actor=principal, client=address_of(request)
    )
    return PersonAnswer.of(person)


@router.delete(
    "/admin/users/{user_id}/sessions",
    status_code=204,
    summary="End somebody's sessions",
    responses=error_responses(*route_errors.READ, NotFound, *STEP_UP_ERRORS),
    openapi_extra={"parameters": [STEP_UP_PARAMETER]},
)
async def end_user_sessions(
    user_id: UserIdText,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.SESSIONS_END)],
) -> None:
    """End all sessions of a user, your own too if the id is yours. Asks for a fresh factor.

    Within a second nothing that belongs to them is accepted anywhere. The user can sign in again,
    and keeps their API keys.
    """
    response.headers["Cache-Control"] = "no-store"
    await step_up_of(request).require(
        principal,
        operation="end_sessions",
        binding={"user_id": user_id},
        given=given_of(request),
    )
    await administration_of(request).end_sessions(
        user_id, actor=principal, client=address_of(request)
    )


@router.get(
    "/admin/audit",
    summary="List security events",
    responses=error_responses(*route_errors.LIST, NotFound),
)
async def list_events(
    request: Request,
    response: Response,
    query: Annotated[EventsQuery, Query()],
    _principal: Annotated[Principal, needs(Permission.AUDIT_READ)],
) -> EventsAnswer:
    """Return the record of security events, newest first. It holds ids, nothing personal."""
    response.headers["Cache-Control"] = "no-store"
    filters: dict[str, str | int | datetime | None] = {
        "list": "audit",
        **query.model_dump(exclude={"limit", "cursor"}, mode="json"),
    }
    after = None
    if query.cursor is not None:
        (after,) = decode_cursor(query.cursor, filters, place=tuple[str])
    wanted = Search(
        subject=query.subject, actor=query.actor, action=query.action, since=query.since
    )
    found = await administration_of(request).events(wanted, after=after, limit=query.limit + 1)
    page = page_of(
        found, limit=query.limit, cursor=lambda last: encode_cursor((last.event.id,), filters)
    )
    return EventsAnswer(
        data=[EventAnswer.of(each) for each in page.data],
        has_more=page.has_more,
        next_cursor=page.next_cursor,
    )
