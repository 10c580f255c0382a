"""HTTP of requests for money: for programs, and the one page for people."""

from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse

from guilder.identity.permissions import Permission, Principal, needs, public
from guilder.identity.step_up import STEP_UP_ERRORS, STEP_UP_PARAMETER, step_up_of
from guilder.kernel.errors import InvalidRequest, NotFound
from guilder.kernel.pages import decode_cursor, encode_cursor, page_of
from guilder.ledger.errors import BalanceOverflow, Overloaded, SameAccount
from guilder.middlewares.idempotency import (
    KEY_PARAMETER,
    REPLAYED,
    IdempotencyKeyRequired,
    fingerprint_key,
    idempotency_key,
    request_fingerprint,
)
from guilder.middlewares.problems import error_responses
from guilder.payment_requests.errors import PaymentRequestEnded, PaymentRequestExpired
from guilder.payment_requests.models import PaymentRequest
from guilder.payment_requests.pages import missing_page, request_page
from guilder.payment_requests.posting import deciding_id
from guilder.payment_requests.qr import svg_of
from guilder.payment_requests.schemas import (
    PaidAnswer,
    PaymentRequestAnswer,
    PaymentRequestBody,
    PaymentRequestsAnswer,
    PaymentRequestsQuery,
)
from guilder.payment_requests.service import PaymentRequestService, Wanted
from guilder.wallets import route_errors
from guilder.wallets.errors import RecipientNotFound
from guilder.wallets.step_up import Spending, confirm_spending, is_posted

PATH = "/payment-requests"
_PRIVATE = {"Cache-Control": "no-store"}
_END_ERRORS = (*route_errors.READ, NotFound, PaymentRequestEnded, PaymentRequestExpired, Overloaded)

router = APIRouter(tags=["Payment requests"])
"""Under the prefix only."""
page_router = APIRouter(include_in_schema=False)
"""At the root only: where the links lead."""

RequestId = Annotated[str, Path(examples=["payment_request_01h455vb4pex5vsknk084sn02q"])]


def requests_of(request: Request) -> PaymentRequestService:
    """Return the service that the application was composed with."""
    return cast("PaymentRequestService", request.app.state.payment_requests)


@router.post(
    PATH,
    status_code=201,
    summary="Ask for money",
    openapi_extra={"parameters": [KEY_PARAMETER]},
    responses=error_responses(*route_errors.ORDER, RecipientNotFound, SameAccount),
)
async def create_payment_request(
    body: PaymentRequestBody,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.PAYMENT_REQUESTS_WRITE)],
) -> PaymentRequestAnswer:
    """Ask somebody for money, or, without `from`, whoever gets the link.

    Nothing moves until it is paid. The same `Idempotency-Key` returns the same request, as it was
    when new.
    """
    service = requests_of(request)
    wanted = Wanted(
        amount_minor=body.amount,
        currency=body.currency,
        payer=None if body.payer is None else body.payer.recipient,
        description=body.description,
        expires_at=body.expires_at,
        key=idempotency_key(request),
        fingerprint=request_fingerprint(fingerprint_key(request), "POST", PATH, body.model_dump()),
    )
    created = await service.create(principal, wanted)
    response.headers.update(_PRIVATE | (REPLAYED if created.is_replayed else {}))
    made = created.request
    return PaymentRequestAnswer.as_created(made, link=service.link(made), viewer=principal)


@router.get(
    PATH,
    summary="List payment requests",
    responses=error_responses(*route_errors.LIST),
)
async def list_payment_requests(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
    query: Annotated[PaymentRequestsQuery, Query()],
) -> PaymentRequestsAnswer:
    """Return what you ask for, or with `role=payer` what you are asked for. Newest first.

    Open requests are on the payer's list once they are paid.
    """
    service = requests_of(request)
    filters = {"list": "payment_requests", "role": query.role, "of": principal.wallet_id}
    after = None
    if query.cursor is not None:
        after = decode_cursor(query.cursor, filters, place=tuple[datetime, str])
    found = await service.page(principal, query.role, after=after, limit=query.limit + 1)
    page = page_of(
        found,
        limit=query.limit,
        cursor=lambda last: encode_cursor((last.created_at, last.id), filters),
    )
    response.headers.update(_PRIVATE)
    return PaymentRequestsAnswer(
        data=[_answer(service, each, principal) for each in page.data],
        has_more=page.has_more,
        next_cursor=page.next_cursor,
    )


@router.get(
    PATH + "/{payment_request_id}",
    summary="Show a payment request",
    responses=error_responses(*route_errors.READ, NotFound),
)
async def show_payment_request(
    payment_request_id: RequestId,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
) -> PaymentRequestAnswer:
    """Return a request as it stands: yours, one you are asked, or an open one by its link."""
    service = requests_of(request)
    found = await service.request(payment_request_id, principal)
    response.headers.update(_PRIVATE)
    return _answer(service, found, principal)


@router.get(
    PATH + "/{payment_request_id}/qr",
    summary="QR code of a payment request",
    response_class=Response,
    responses={
        200: {
            "description": "An SVG image that leads to `link`.",
            "content": {"image/svg+xml": {"schema": {"type": "string"}, "example": "<svg/>"}},
        },
        **error_responses(*route_errors.READ, NotFound),
    },
)
async def show_qr_code(
    payment_request_id: RequestId,
    request: Request,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
) -> Response:
    """Return the link of a request as a QR code to show, print or send."""
    service = requests_of(request)
    link = service.link(await service.request(payment_request_id, principal))
    return Response(svg_of(link), media_type="image/svg+xml", headers=_PRIVATE)


@router.post(
    PATH + "/{payment_request_id}/pay",
    status_code=201,
    summary="Pay a payment request",
    openapi_extra={"parameters": [KEY_PARAMETER, STEP_UP_PARAMETER]},
    responses=error_responses(
        *_END_ERRORS,
        *route_errors.SPENDING,
        IdempotencyKeyRequired,
        InvalidRequest,
        SameAccount,
        BalanceOverflow,
        *STEP_UP_ERRORS,
    ),
)
async def pay_payment_request(
    payment_request_id: RequestId,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.TRANSFERS_WRITE)],
) -> PaidAnswer:
    """Move the money, at once and for good. There is no body.

    A request is paid once, whoever races, and never after it was declined, cancelled or expired.
    The same `Idempotency-Key` gets the same answer; a refusal such as `insufficient_funds` leaves
    the request pending. Above an amount that the deployment sets, a 403 `step_up_required` asks for
    a fresh factor.
    """
    key = idempotency_key(request)
    await _confirm(request, principal, payment_request_id, key)
    paid = await requests_of(request).pay(principal, payment_request_id, key=key)
    response.headers.update(_PRIVATE | (REPLAYED if paid.is_replayed else {}))
    return PaidAnswer.of(paid.transfer)


async def _confirm(request: Request, payer: Principal, request_id: str, key: str) -> None:
    """Ask for a fresh factor, if it is much."""
    if not step_up_of(request).policy.transfer_minor:
        return
    asked = await requests_of(request).request(request_id, payer)
    spending = Spending(
        operation="payment_request",
        amount_minor=asked.amount_minor,
        currency=asked.currency,
        payee=asked.payee_wallet_id,
        key=key,
        more={"payment_request": asked.id},
    )
    is_done = is_posted(request, deciding_id(asked))
    await confirm_spending(request, payer, spending, is_done=is_done)


@router.post(
    PATH + "/{payment_request_id}/decline",
    summary="Decline a payment request",
    responses=error_responses(*_END_ERRORS),
)
async def decline_payment_request(
    payment_request_id: RequestId,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.PAYMENT_REQUESTS_WRITE)],
) -> PaymentRequestAnswer:
    """Refuse to pay what you are asked for, for good. Sent again, it answers the same."""
    service = requests_of(request)
    found = await service.decline(principal, payment_request_id)
    response.headers.update(_PRIVATE)
    return _answer(service, found, principal)


@router.post(
    PATH + "/{payment_request_id}/cancel",
    summary="Cancel a payment request",
    responses=error_responses(*_END_ERRORS),
)
async def cancel_payment_request(
    payment_request_id: RequestId,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.PAYMENT_REQUESTS_WRITE)],
) -> PaymentRequestAnswer:
    """Take back what you have asked for. Sent again, it answers the same.

    If it is paid at the same moment, one of the two comes first; `409` says that it was paid.
    """
    service = requests_of(request)
    found = await service.cancel(principal, payment_request_id)
    response.headers.update(_PRIVATE)
    return _answer(service, found, principal)


@page_router.get("/pay/{payment_request_id}")
@public
async def show_pay_page(payment_request_id: RequestId, request: Request) -> HTMLResponse:
    """Show an open request to whoever has its link. Of any other it says nothing."""
    service = requests_of(request)
    try:
        found = await service.open_request(payment_request_id)
    except NotFound:
        html, headers = missing_page()
        return HTMLResponse(html, status_code=404, headers=headers)
    html, headers = request_page(found, link=service.link(found))
    return HTMLResponse(html, headers=headers)


def _answer(
    service: PaymentRequestService, found: PaymentRequest, viewer: Principal
) -> PaymentRequestAnswer:
    return PaymentRequestAnswer.of(found, link=service.link(found), viewer=viewer)
