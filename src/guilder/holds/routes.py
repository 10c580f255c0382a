"""HTTP of holds."""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from guilder.holds.errors import HoldNotExpired
from guilder.holds.schemas import (
    CaptureAnswer,
    CaptureBody,
    DryRunQuery,
    HoldAnswer,
    HoldBody,
    HoldPreview,
    HoldStanding,
    ReleaseAnswer,
)
from guilder.holds.service import Capture, Done, HoldOrder, HoldService, hold_id_of
from guilder.identity.errors import Unauthenticated
from guilder.identity.permissions import Permission, Principal, needs
from guilder.identity.step_up import STEP_UP_ERRORS, STEP_UP_PARAMETER
from guilder.kernel.currency import UnknownCurrency
from guilder.kernel.errors import InvalidRequest, Malformed, NotFound, Unavailable
from guilder.ledger.errors import (
    AccountClosed,
    AccountFrozen,
    BalanceOverflow,
    CaptureExceedsHold,
    HoldExpired,
    HoldSettled,
    IdempotencyKeyReused,
    InsufficientFunds,
    LimitExceeded,
    Overloaded,
    SameAccount,
)
from guilder.middlewares.errors import BodyTooLarge, RateLimited, UnsupportedMediaType
from guilder.middlewares.idempotency import (
    KEY_PARAMETER,
    REPLAYED,
    IdempotencyKeyRequired,
    fingerprint_key,
    idempotency_key,
    request_fingerprint,
)
from guilder.middlewares.problems import error_responses
from guilder.wallets.errors import RecipientNotFound
from guilder.wallets.step_up import Spending, confirm_spending, is_posted

router = APIRouter(tags=["Holds"])
"""Under the prefix only."""

HoldId = Annotated[str, Path(examples=["hold_01h455vb4pex5vsknk084sn02q"])]
_READ = (Unauthenticated, InvalidRequest, RateLimited, Unavailable)
_MONEY = (
    *_READ,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    Malformed,
    UnsupportedMediaType,
    BodyTooLarge,
    AccountClosed,
    BalanceOverflow,
    Overloaded,
)


_PREVIEW: dict[int | str, dict[str, Any]] = {
    200: {"model": HoldPreview, "description": "What would happen, for `dry_run=true`."}
}


def holds_of(request: Request) -> HoldService:
    """Return the service that the application was composed with."""
    return cast("HoldService", request.app.state.holds)


def _head(response: Response, *, is_replayed: bool) -> None:
    response.headers.update({"Cache-Control": "no-store"} | (REPLAYED if is_replayed else {}))


def _json(body: BaseModel, *, status: int, is_replayed: bool = False) -> Response:
    response = Response(body.model_dump_json(), status_code=status, media_type="application/json")
    _head(response, is_replayed=is_replayed)
    return response


def _foreseen(done: Done, asker: Principal) -> Response:
    """Answer a dry run."""
    return _json(HoldPreview.of(done, asker=asker.wallet_id), status=200)


@router.post(
    "/holds",
    status_code=201,
    summary="Set money aside",
    openapi_extra={"parameters": [KEY_PARAMETER, STEP_UP_PARAMETER]},
    responses=error_responses(
        *_MONEY,
        UnknownCurrency,
        SameAccount,
        RecipientNotFound,
        InsufficientFunds,
        AccountFrozen,
        LimitExceeded,
        *STEP_UP_ERRORS,
    )
    | _PREVIEW,
    response_model=HoldAnswer,
)
async def make_hold(
    body: HoldBody,
    request: Request,
    principal: Annotated[Principal, needs(Permission.HOLDS_WRITE)],
    query: Annotated[DryRunQuery, Query()],
) -> Response:
    """Reserve money for somebody: a deposit, an order that is not yet shipped.

    It leaves `available` at once. The recipient captures it, in part or whole, or releases it; what
    is left when it expires goes back by itself. A hold counts towards limits when it is made.
    With `dry_run=true` nothing changes: the answer says what would happen, or is the refusal.
    Above an amount that the deployment sets, a 403 `step_up_required` asks for a fresh factor.
    """
    order = HoldOrder(
        amount_minor=body.amount,
        currency=body.currency,
        recipient=body.to.recipient,
        description=body.description,
        expires_at=body.expires_at,
        key=idempotency_key(request),
        fingerprint=request_fingerprint(
            fingerprint_key(request), "POST", "/holds", body.model_dump()
        ),
    )
    if query.dry_run:
        return _foreseen(await holds_of(request).preview(principal, order), principal)
    spending = Spending(
        operation="hold",
        amount_minor=order.amount_minor,
        currency=order.currency,
        payee=order.recipient,
        key=order.key,
    )
    is_done = is_posted(request, hold_id_of(principal, order.key))
    await confirm_spending(request, principal, spending, is_done=is_done)
    done = await holds_of(request).hold(principal, order)
    answer = HoldAnswer.of(done.transfer, payer=principal.wallet_id, payee=done.counterparty)
    return _json(answer, status=201, is_replayed=done.is_replayed)


@router.get("/holds/{hold_id}", summary="Show a hold", responses=error_responses(*_READ, NotFound))
async def show_hold(
    hold_id: HoldId,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
) -> HoldStanding:
    """Return a hold as it stands, to its payer or its recipient."""
    _head(response, is_replayed=False)
    return HoldStanding.of(await holds_of(request).show(principal, hold_id))


@router.post(
    "/holds/{hold_id}/capture",
    status_code=201,
    summary="Take what is held",
    openapi_extra={"parameters": [KEY_PARAMETER]},
    responses=error_responses(*_MONEY, NotFound, HoldExpired, HoldSettled, CaptureExceedsHold)
    | _PREVIEW,
    response_model=CaptureAnswer,
)
async def capture_hold(
    hold_id: HoldId,
    body: CaptureBody,
    request: Request,
    principal: Annotated[Principal, needs(Permission.HOLDS_WRITE)],
    query: Annotated[DryRunQuery, Query()],
) -> Response:
    """Take the money of a hold, as its recipient: all that is left, or an amount.

    What is not taken goes back to the payer at once, unless `keep_rest` keeps it for another
    capture. All captures together never take more than was held. With `dry_run=true` nothing
    changes.
    """
    said = {"hold_id": hold_id, **body.model_dump()}
    capture = Capture(
        hold_id=hold_id,
        amount_minor=body.amount,
        keeps_rest=body.keep_rest,
        key=idempotency_key(request),
        fingerprint=request_fingerprint(
            fingerprint_key(request), "POST", "/holds/{id}/capture", said
        ),
    )
    if query.dry_run:
        return _foreseen(await holds_of(request).preview_capture(principal, capture), principal)
    done = await holds_of(request).capture(principal, capture)
    answer = CaptureAnswer.of(done, hold_id=hold_id, payee=principal.wallet_id)
    return _json(answer, status=201, is_replayed=done.is_replayed)


@router.post(
    "/holds/{hold_id}/release",
    summary="Release a hold",
    openapi_extra={"parameters": [KEY_PARAMETER]},
    responses=error_responses(*_MONEY, NotFound, HoldSettled, HoldNotExpired),
)
async def release_hold(
    hold_id: HoldId,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.HOLDS_WRITE)],
) -> ReleaseAnswer:
    """Give back what is left of a hold: its recipient at any time, its payer once it has expired.

    A hold is released once. Whoever asks again, under whichever key, gets the same answer.
    """
    idempotency_key(request)
    done = await holds_of(request).release(principal, hold_id)
    _head(response, is_replayed=done.is_replayed)
    return ReleaseAnswer.of(done.transfer, hold_id=hold_id)
