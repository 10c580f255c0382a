"""HTTP of transfers: the hot path. One await on the journal, no dependency injection."""

from typing import cast

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from guilder.identity.authentication import authenticate
from guilder.identity.errors import Unauthenticated
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
from guilder.transfers.service import Instruction, TransferService
from guilder.wallets.errors import RecipientNotFound

PATH = "/wallet/transfer"

specification_router = APIRouter(tags=["Transfers"])
"""Under the prefix and at the root; for the documentation. `hot_routes` are asked first."""


def hot_routes(*prefixes: str) -> list[Route]:
    """Return the plain routes that serve transfers under each prefix, past the framework."""
    return [Route(prefix + PATH, send_money, methods=["POST"]) for prefix in prefixes]


def transfers_of(request: Request) -> TransferService:
    """Return the service that the application was composed with."""
    return cast(TransferService, request.app.state.transfers)


@specification_router.post(
    PATH,
    status_code=201,
    summary="Send money",
    response_model=TransferAnswer,
    openapi_extra={"parameters": [KEY_PARAMETER], "requestBody": body_schema(TransferBody)},
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
    ),
)
async def send_money(request: Request) -> Response:
    """Move money to another wallet, at once and for good.

    The key stands for this transfer for ever: sent again, the same request gets the same answer
    with `Idempotent-Replayed: true`, and another request is refused. A refusal such as
    `insufficient_funds` leaves nothing behind: the same key is decided afresh.
    """
    sender = authenticate(request)
    key = idempotency_key(request)
    body = await read_json(request, TransferBody)
    sent = await transfers_of(request).send(
        sender,
        Instruction(
            amount_minor=body.amount,
            currency=body.currency,
            recipient=body.to.recipient,
            description=body.description,
            key=key,
            fingerprint=request_fingerprint(
                fingerprint_key(request), "POST", PATH, body.model_dump()
            ),
        ),
    )
    answer = TransferAnswer.of(sent.transfer, sender=sender.wallet_id)
    headers = {"Cache-Control": "no-store"}
    return Response(
        answer.model_dump_json(),
        status_code=201,
        headers=headers | REPLAYED if sent.is_replayed else headers,
        media_type="application/json",
    )
