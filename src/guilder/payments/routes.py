"""HTTP of payments."""

from typing import Annotated, cast

from fastapi import APIRouter, Request, Response

from guilder.gateways.errors import GatewayRefused, GatewayUnclear, GatewayUnknown
from guilder.identity.permissions import Permission, Principal, needs
from guilder.kernel.currency import currency
from guilder.kernel.errors import NotFound
from guilder.kernel.money import Money
from guilder.middlewares.idempotency import (
    KEY_PARAMETER,
    REPLAYED,
    fingerprint_key,
    idempotency_key,
    request_fingerprint,
)
from guilder.middlewares.problems import error_responses
from guilder.payments.errors import ReturnUrlInvalid
from guilder.payments.schemas import AddFundsAnswer, AddFundsBody, PaymentAnswer
from guilder.payments.service import Order, PaymentService
from guilder.wallets import route_errors

specification_router = APIRouter(tags=["Payments"])
"""`/wallet/add-funds`: under the prefix and at the root."""
router = APIRouter(tags=["Payments"])
"""The rest: under the prefix only."""


def payments_of(request: Request) -> PaymentService:
    """Return the service that the application was composed with."""
    return cast("PaymentService", request.app.state.payments)


@specification_router.post(
    "/wallet/add-funds",
    status_code=201,
    summary="Add funds",
    openapi_extra={"parameters": [KEY_PARAMETER]},
    responses=error_responses(
        *route_errors.ORDER, ReturnUrlInvalid, GatewayUnknown, GatewayRefused, GatewayUnclear
    ),
)
async def add_funds(
    body: AddFundsBody,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.PAYMENTS_WRITE)],
) -> AddFundsAnswer:
    """Begin a payment and get the page on which to pay.

    The wallet is credited when the gateway has the money, and only then: coming back
    from the page credits nothing. The same `Idempotency-Key` returns the same payment.
    """
    key = idempotency_key(request)
    order = Order(
        user_id=principal.user_id,
        wallet_id=principal.wallet_id,
        money=Money(body.amount, currency(body.currency)),
        gateway=body.gateway,
        return_url=body.return_url,
    )
    fingerprint = request_fingerprint(
        fingerprint_key(request), "POST", "/wallet/add-funds", body.model_dump()
    )
    begun = await payments_of(request).add_funds(order, key=key, fingerprint=fingerprint)
    response.headers.update({"Cache-Control": "no-store"} | (REPLAYED if begun.is_replayed else {}))
    return AddFundsAnswer.of(begun.payment)


@router.get(
    "/payments/{payment_id}",
    summary="Show a payment",
    responses=error_responses(*route_errors.READ, NotFound),
)
async def show_payment(
    payment_id: str,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
) -> PaymentAnswer:
    """Return one of the user's payments as it stands."""
    payment = await payments_of(request).payment(payment_id, user_id=principal.user_id)
    response.headers["Cache-Control"] = "no-store"
    return PaymentAnswer.of(payment)
