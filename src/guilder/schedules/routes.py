"""HTTP of schedules."""

from datetime import datetime
from functools import partial
from typing import Annotated, cast

from fastapi import APIRouter, Path, Query, Request, Response

from guilder.identity.permissions import Permission, Principal, needs
from guilder.identity.step_up import STEP_UP_ERRORS, STEP_UP_PARAMETER
from guilder.kernel.errors import NotFound
from guilder.kernel.pages import decode_cursor, encode_cursor, page_of
from guilder.ledger.errors import Overloaded, SameAccount
from guilder.middlewares.idempotency import (
    KEY_PARAMETER,
    REPLAYED,
    fingerprint_key,
    idempotency_key,
    request_fingerprint,
)
from guilder.middlewares.problems import error_responses
from guilder.schedules.errors import ScheduleEnded
from guilder.schedules.schemas import (
    OccurrenceAnswer,
    OccurrencesAnswer,
    PageQuery,
    ScheduleAnswer,
    ScheduleBody,
    SchedulesAnswer,
)
from guilder.schedules.service import Plan, ScheduleService
from guilder.wallets import route_errors
from guilder.wallets.errors import RecipientNotFound
from guilder.wallets.step_up import Spending, confirm_spending

PATH = "/schedules"
_PRIVATE = {"Cache-Control": "no-store"}

router = APIRouter(tags=["Schedules"])
"""Under the prefix only."""

ScheduleId = Annotated[str, Path(examples=["schedule_01h455vb4pex5vsknk084sn02q"])]


def schedules_of(request: Request) -> ScheduleService:
    """Return the service that the application was composed with."""
    return cast("ScheduleService", request.app.state.schedules)


@router.post(
    PATH,
    status_code=201,
    summary="Schedule transfers",
    openapi_extra={"parameters": [KEY_PARAMETER, STEP_UP_PARAMETER]},
    responses=error_responses(*route_errors.ORDER, RecipientNotFound, SameAccount, *STEP_UP_ERRORS),
)
async def create_schedule(
    body: ScheduleBody,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.SCHEDULES_WRITE)],
) -> ScheduleAnswer:
    """Send money later: once, or every day, week or month.

    Each transfer is made once, soon after it is due. If there is no money, a limit is met or the
    wallet is frozen, it is tried again after 1, 6 and 24 hours, as long as the next is not due;
    then it is given up, and the schedule goes on. What a stopped server has missed is made up for.
    The same `Idempotency-Key` returns the same schedule, as it was when new. If each transfer is
    above an amount that the deployment sets, a 403 `step_up_required` asks for a fresh factor, once
    for all of them.
    """
    plan = Plan(
        amount_minor=body.amount,
        currency=body.currency,
        recipient=body.to.recipient,
        description=body.description,
        start_at=body.start_at,
        every=body.every,
        count=body.count,
        until=body.until,
        key=idempotency_key(request),
        fingerprint=request_fingerprint(fingerprint_key(request), "POST", PATH, body.model_dump()),
    )
    spending = Spending(
        operation="schedule",
        amount_minor=plan.amount_minor,
        currency=plan.currency,
        payee=plan.recipient,
        key=plan.key,
        more={"plan": plan.fingerprint.hex()},
    )
    service = schedules_of(request)
    is_done = partial(service.has_made, principal, plan.key)
    await confirm_spending(request, principal, spending, is_done=is_done)
    planned = await service.create(principal, plan)
    response.headers.update(_PRIVATE | (REPLAYED if planned.is_replayed else {}))
    return ScheduleAnswer.as_created(planned.schedule)


@router.get(PATH, summary="List schedules", responses=error_responses(*route_errors.LIST))
async def list_schedules(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
    query: Annotated[PageQuery, Query()],
) -> SchedulesAnswer:
    """Return your schedules, newest first, ended ones too."""
    filters = {"list": "schedules", "of": principal.wallet_id}
    after = None
    if query.cursor is not None:
        after = decode_cursor(query.cursor, filters, place=tuple[datetime, str])
    page = page_of(
        await schedules_of(request).page(principal, after=after, limit=query.limit + 1),
        limit=query.limit,
        cursor=lambda last: encode_cursor((last.created_at, last.id), filters),
    )
    response.headers.update(_PRIVATE)
    return SchedulesAnswer(
        data=[ScheduleAnswer.of(each) for each in page.data],
        has_more=page.has_more,
        next_cursor=page.next_cursor,
    )


@router.get(
    PATH + "/{schedule_id}",
    summary="Show a schedule",
    responses=error_responses(*route_errors.READ, NotFound),
)
async def show_schedule(
    schedule_id: ScheduleId,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
) -> ScheduleAnswer:
    """Return one of your schedules as it stands."""
    found = await schedules_of(request).schedule(schedule_id, principal)
    response.headers.update(_PRIVATE)
    return ScheduleAnswer.of(found)


@router.get(
    PATH + "/{schedule_id}/occurrences",
    summary="List what a schedule has done",
    responses=error_responses(*route_errors.LIST, NotFound),
)
async def list_occurrences(
    schedule_id: ScheduleId,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
    query: Annotated[PageQuery, Query()],
) -> OccurrencesAnswer:
    """Return the transfers of a schedule that were made or given up, newest first."""
    service = schedules_of(request)
    schedule = await service.schedule(schedule_id, principal)
    filters = {"list": "occurrences", "of": schedule.id}
    after = None
    if query.cursor is not None:
        after = decode_cursor(query.cursor, filters, place=tuple[int, str])
    page = page_of(
        await service.occurrences(schedule, after=after, limit=query.limit + 1),
        limit=query.limit,
        cursor=lambda last: encode_cursor((last.number, last.id), filters),
    )
    response.headers.update(_PRIVATE)
    return OccurrencesAnswer(
        data=[OccurrenceAnswer.of(each) for each in page.data],
        has_more=page.has_more,
        next_cursor=page.next_cursor,
    )


@router.post(
    PATH + "/{schedule_id}/cancel",
    summary="Cancel a schedule",
    responses=error_responses(*route_errors.READ, NotFound, ScheduleEnded, Overloaded),
)
async def cancel_schedule(
    schedule_id: ScheduleId,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.SCHEDULES_WRITE)],
) -> ScheduleAnswer:
    """Stop a schedule for good: nothing more is sent after this answer. Sent again, it answers
    the same.
    """
    cancelled = await schedules_of(request).cancel(schedule_id, principal)
    response.headers.update(_PRIVATE)
    return ScheduleAnswer.of(cancelled)
