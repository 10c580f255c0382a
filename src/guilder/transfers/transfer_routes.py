"""HTTP of transfers as a resource: everything that can be said about one, batches, reversals."""

from typing import Annotated, cast

from fastapi import APIRouter, Path, Query, Request, Response

from guilder.identity.errors import Unauthenticated
from guilder.identity.permissions import Permission, Principal, needs
from guilder.identity.step_up import STEP_UP_ERRORS, STEP_UP_PARAMETER
from guilder.kernel.currency import UnknownCurrency
from guilder.kernel.errors import InvalidRequest, Malformed, NotFound, Unavailable
from guilder.ledger.errors import (
    AccountClosed,
    AccountFrozen,
    BalanceOverflow,
    IdempotencyKeyReused,
    InsufficientFunds,
    LimitExceeded,
    OriginalNotFound,
    Overloaded,
    ReversalExceedsOriginal,
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
from guilder.middlewares.json_body import read_large_json
from guilder.middlewares.openapi import body_schema
from guilder.middlewares.problems import error_responses
from guilder.storage.turns import in_turns
from guilder.transfers.batch_schemas import BatchAnswer, BatchBody
from guilder.transfers.batches import TransferBatches
from guilder.transfers.routes import confirm, transfers_of
from guilder.transfers.schemas import (
    ReversalBody,
    ShownTransfer,
    TransferDetails,
    TransferOrder,
    TransferPreview,
    TransferQuery,
)
from guilder.transfers.service import Instruction, Reversal
from guilder.transfers.step_up import confirm_batch
from guilder.wallets.errors import RecipientNotFound

router = APIRouter(tags=["Transfers"])
"""Under the prefix only."""

BATCH_PATH = "/transfers/batch"
"""Takes a larger body than others."""

TransferIdText = Annotated[str, Path(examples=["transfer_01h455vb4pex5vsknk084sn02q"])]
_READ = (Unauthenticated, InvalidRequest, RateLimited, Unavailable)
_MONEY = (
    *_READ,
    IdempotencyKeyRequired,
    Malformed,
    UnsupportedMediaType,
    BodyTooLarge,
    Overloaded,
)
_LEDGER = (
    IdempotencyKeyReused,
    InsufficientFunds,
    AccountFrozen,
    AccountClosed,
    BalanceOverflow,
)


def batches_of(request: Request) -> TransferBatches:
    """Return the service that the application was composed with."""
    return cast("TransferBatches", request.app.state.transfer_batches)


def _json(body: str, *, status: int, is_replayed: bool) -> Response:
    headers = {"Cache-Control": "no-store"} | (REPLAYED if is_replayed else {})
    return Response(body, status_code=status, headers=headers, media_type="application/json")


def _instruction(order: TransferOrder, *, key: str, secret: bytes) -> Instruction:
    """Return an order as the service takes it: the same, alone or in a batch."""
    return Instruction(
        amount_minor=order.amount,
        currency=order.currency,
        recipient=order.to.recipient,
        description=order.description,
        key=key,
        fingerprint=request_fingerprint(
            secret, "POST", "/transfers", order.model_dump(exclude={"key"})
        ),
        effective_at=order.effective_at,
        reference=order.reference,
        metadata=order.metadata,
    )


@router.post(
    "/transfers",
    status_code=201,
    summary="Send money, with all that may be said about it",
    response_model=TransferDetails,
    openapi_extra={"parameters": [KEY_PARAMETER, STEP_UP_PARAMETER]},
    responses=error_responses(
        *_MONEY,
        *_LEDGER,
        UnknownCurrency,
        SameAccount,
        RecipientNotFound,
        LimitExceeded,
        *STEP_UP_ERRORS,
    )
    | {200: {"model": TransferPreview, "description": "What would happen, for `dry_run=true`."}},
)
async def create_transfer(
    body: TransferOrder,
    request: Request,
    principal: Annotated[Principal, needs(Permission.TRANSFERS_WRITE)],
    query: Annotated[TransferQuery, Query()],
) -> Response:
    """Move money to another wallet, at once and for good.

    With `dry_run=true` nothing changes: the answer says what would happen, or is the refusal. A
    refusal by a limit names it under `errors`, and `Retry-After` tells when it begins anew.
    Above an amount that the deployment sets, a 403 `step_up_required` asks for a fresh factor.
    """
    instruction = _instruction(body, key=idempotency_key(request), secret=fingerprint_key(request))
    if query.dry_run:
        foreseen = await transfers_of(request).preview(principal, instruction)
        return _json(TransferPreview.of(foreseen).model_dump_json(), status=200, is_replayed=False)
    await confirm(request, principal, instruction)
    sent = await transfers_of(request).send(principal, instruction)
    answer = TransferDetails.sent(sent.transfer, sender=principal.wallet_id)
    return _json(answer.model_dump_json(), status=201, is_replayed=sent.is_replayed)


@router.post(
    BATCH_PATH,
    summary="Send many transfers",
    response_model=BatchAnswer,
    openapi_extra={
        "parameters": [KEY_PARAMETER, STEP_UP_PARAMETER],
        "requestBody": body_schema(BatchBody),
    },
    responses=error_responses(*_MONEY, *STEP_UP_ERRORS),
)
async def create_batch(
    request: Request,
    principal: Annotated[Principal, needs(Permission.TRANSFERS_WRITE)],
    query: Annotated[TransferQuery, Query()],
) -> Response:
    """Send up to 8,192 transfers at once, in order, and tell what became of each.

    Every item has a key of its own and is the same transfer as if sent alone to `POST /transfers`
    under that key: retries of a batch, or of its items, move nothing twice. `independent` items
    stand for themselves; of `atomic` ones all are sent or none, and the others of a refused item
    say `group_failed`. The answer is 200 in any case: look at `refused`. With `dry_run=true`
    nothing changes: the answer says what would become of each.

    If all items of a currency are together above the amount that the deployment sets, a 403
    `step_up_required` asks for a fresh factor, once for the batch.
    """
    key, secret = idempotency_key(request), fingerprint_key(request)
    batches = batches_of(request)
    body = await read_large_json(request, BatchBody)
    items = [_instruction(item, key=item.key, secret=secret) async for item in in_turns(body.items)]
    if not query.dry_run:
        await confirm_batch(request, principal, items, key=key, mode=body.mode)
    results = await (batches.preview if query.dry_run else batches.send)(
        principal,
        items,
        group=key if body.mode == "atomic" else None,
    )
    answer = await BatchAnswer.of(
        results, mode=body.mode, sender=principal.wallet_id, dry_run=query.dry_run
    )
    is_replayed = not query.dry_run and all(result.is_replayed for result in results)
    return _json(answer.model_dump_json(), status=200, is_replayed=is_replayed)


@router.get(
    "/transfers/{transaction_id}",
    summary="Show a transfer",
    responses=error_responses(*_READ, NotFound),
)
async def show_transfer(
    transaction_id: TransferIdText,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
) -> ShownTransfer:
    """Return a transfer between wallets, to its sender or its recipient."""
    response.headers["Cache-Control"] = "no-store"
    shown = await transfers_of(request).show(principal, transaction_id)
    return ShownTransfer.at(shown, viewer=principal.wallet_id)


@router.post(
    "/transfers/{transaction_id}/reversals",
    status_code=201,
    summary="Give a transfer back",
    response_model=TransferDetails,
    openapi_extra={"parameters": [KEY_PARAMETER]},
    responses=error_responses(
        *_MONEY, *_LEDGER, NotFound, OriginalNotFound, ReversalExceedsOriginal
    )
    | {200: {"model": TransferPreview, "description": "What would happen, for `dry_run=true`."}},
)
async def reverse_transfer(
    transaction_id: TransferIdText,
    body: ReversalBody,
    request: Request,
    principal: Annotated[Principal, needs(Permission.TRANSFERS_WRITE)],
    query: Annotated[TransferQuery, Query()],
) -> Response:
    """Give back what was received by a transfer or a capture: all that is left of it, or an amount.

    Only its recipient can. It may be given back in several parts, together never more than it was.
    A reversal cannot itself be reversed. With `dry_run=true` nothing changes.
    """
    reversal = _reversal(
        transaction_id, body, key=idempotency_key(request), secret=fingerprint_key(request)
    )
    if query.dry_run:
        foreseen = await transfers_of(request).preview_reversal(principal, reversal)
        return _json(TransferPreview.of(foreseen).model_dump_json(), status=200, is_replayed=False)
    sent = await transfers_of(request).reverse(principal, reversal)
    answer = TransferDetails.sent(sent.transfer, sender=principal.wallet_id)
    return _json(answer.model_dump_json(), status=201, is_replayed=sent.is_replayed)


def _reversal(transaction_id: str, body: ReversalBody, *, key: str, secret: bytes) -> Reversal:
    said = {"id": transaction_id, **body.model_dump()}
    return Reversal(
        transaction_id=transaction_id,
        amount_minor=body.amount,
        description=body.description,
        key=key,
        fingerprint=request_fingerprint(secret, "POST", "/transfers/{id}/reversals", said),
    )
