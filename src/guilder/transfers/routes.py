"""HTTP of transfers: the hot path. One await on the journal, no dependency injection."""

from typing import cast

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from guilder.identity.errors import Unauthenticated
from guilder.identity.permissions import Permission, Principal, authorize, authorizes, security
from guilder.identity.step_up import STEP_UP_ERRORS, STEP_UP_PARAMETER, step_up_of
from guilder.kernel.currency import UnknownCurrency
from guilder.kernel.errors import InvalidRequest, Malformed, Unavailable
from guilder.ledger.errors import (
    AccountClosed,
    AccountFrozen,
    BalanceOverflow,
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
from guilder.middlewares.json_body import read_json
from guilder.middlewares.openapi import body_schema
from guilder.middlewares.problems import error_responses
from guilder.transfers.schemas import TransferAnswer, TransferBody
from guilder.transfers.service import Instruction, TransferService, transfer_id_of
from guilder.wallets.errors import RecipientNotFound
from guilder.wallets.step_up import Spending, confirm_spending, is_posted

PATH = "/wallet/transfer"

specification_router = APIRouter(tags=["Transfers"])
"""Under the prefix and at the root; for the documentation. `hot_routes` are asked first."""


def hot_routes(*prefixes: str) -> list[Route]:
    """Return the plain routes that serve transfers under each prefix, past the framework."""
    return [Route(prefix + PATH, send_money, methods=["POST"]) for prefix in prefixes]


def transfers_of(request: Request) -> TransferService:
    """Return the service that the application was composed with."""
    return cast(TransferService, request.app.state.transfers)


async def confirm(request: Request, sender: Principal, instruction: Instruction) -> None:
    """Ask for a fresh factor, if it is much.

    Raises:
        StepUpRequired, StepUpRefused: It was not approved.
        RecipientNotFound: Nobody has that address.
    """
    if not step_up_of(request).asks(instruction.amount_minor, instruction.currency):
        return
    spending = Spending(
        operation="transfer",
        amount_minor=instruction.amount_minor,
        currency=instruction.currency,
        payee=instruction.recipient,
        key=instruction.key,
    )
    is_done = is_posted(request, transfer_id_of(sender, instruction.key))
    await confirm_spending(request, sender, spending, is_done=is_done)


@specification_router.post(
    PATH,
    status_code=201,
    summary="Send money",
    response_model=TransferAnswer,
    openapi_extra={
        "parameters": [KEY_PARAMETER, STEP_UP_PARAMETER],
        "requestBody": body_schema(TransferBody),
        "security": security(Permission.TRANSFERS_WRITE),
    },
    responses=error_responses(
        Unauthenticated,
        IdempotencyKeyRequired,
        IdempotencyKeyReused,
        Malformed,
        UnsupportedMediaType,
        BodyTooLarge,
        InvalidRequest,
        UnknownCurrency,
        SameAccount,
        RecipientNotFound,
        InsufficientFunds,
        LimitExceeded,
        AccountFrozen,
        AccountClosed,
        BalanceOverflow,
        RateLimited,
        Overloaded,
        Unavailable,
        *STEP_UP_ERRORS,
    ),
)
@authorizes(Permission.TRANSFERS_WRITE)
async def send_money(request: Request) -> Response:
    """Move money to another wallet, at once and for good.

    The key stands for this transfer for ever: sent again, the same request gets the same answer
    with `Idempotent-Replayed: true`, and another request is refused. A refusal such as
    `insufficient_funds` leaves nothing behind: the same key is decided afresh.

    Above an amount that the deployment sets, a 403 `step_up_required` asks for a fresh factor.
    """
    sender = await authorize(request, Permission.TRANSFERS_WRITE)
    key = idempotency_key(request)
    body = await read_json(request, TransferBody)
    instruction = Instruction(
        amount_minor=body.amount,
        currency=body.currency,
        recipient=body.to.recipient,
        description=body.description,
        key=key,
        fingerprint=request_fingerprint(fingerprint_key(request), "POST", PATH, body.model_dump()),
    )
    await confirm(request, sender, instruction)
    sent = await transfers_of(request).send(sender, instruction)
    answer = TransferAnswer.of(sent.transfer, sender=sender.wallet_id)
    headers = {"Cache-Control": "no-store"}
    return Response(
        answer.model_dump_json(),
        status_code=201,
        headers=headers | REPLAYED if sent.is_replayed else headers,
        media_type="application/json",
    )
