"""What the features bring: stored models, routers, routes of the money path."""

from typing import Final

from fastapi import APIRouter, FastAPI
from starlette.routing import Route

from guilder.audit.models import MODELS as AUDIT_MODELS
from guilder.checkpoints import routes as checkpoints
from guilder.gateways import routes as gateways
from guilder.gateways.models import WebhookReceipt
from guilder.gateways.simulator.models import MODELS as SIMULATOR_MODELS
from guilder.holds import routes as holds
from guilder.identity import contact_routes
from guilder.identity import routes as identity
from guilder.identity.models import MODELS as IDENTITY_MODELS
from guilder.ledger.checkpoints import Checkpoint
from guilder.ledger.followers import FollowerPosition
from guilder.notifications.models import MODELS as MESSAGE_MODELS
from guilder.payment_requests import routes as payment_requests
from guilder.payment_requests.models import PaymentRequest
from guilder.payments import routes as payments
from guilder.payments.models import Payment
from guilder.payouts import routes as payouts
from guilder.payouts.models import Payout
from guilder.schedules import routes as schedules
from guilder.schedules.models import MODELS as SCHEDULE_MODELS
from guilder.storage.base import Document
from guilder.transfers import routes as transfers
from guilder.transfers import transfer_routes
from guilder.wallets import routes as wallets
from guilder.wallets import wallet_routes
from guilder.wallets.models import Wallet

MODELS: Final[tuple[type[Document], ...]] = (
    *AUDIT_MODELS,
    *IDENTITY_MODELS,
    Wallet,
    Payment,
    Payout,
    PaymentRequest,
    *SCHEDULE_MODELS,
    WebhookReceipt,
    *MESSAGE_MODELS,
    FollowerPosition,
    Checkpoint,
    *SIMULATOR_MODELS,
)
"""Every stored record. The simulator's too, also in production: one schema for all."""

CANONICAL: Final[tuple[APIRouter, ...]] = (
    identity.router,
    contact_routes.router,
    wallet_routes.router,
    transfer_routes.router,
    holds.router,
    payments.router,
    payouts.router,
    payment_requests.router,
    schedules.router,
    gateways.router,
    checkpoints.router,
)
"""Under the prefix only."""
SPECIFICATION: Final[tuple[APIRouter, ...]] = (
    identity.specification_router,
    wallets.specification_router,
    transfers.specification_router,
    payments.specification_router,
    payouts.specification_router,
)
"""Under the prefix and at the root."""

PAGES: Final[tuple[APIRouter, ...]] = (payment_requests.page_router,)
"""For people: at the root only."""

BATCH_PATH: Final = transfer_routes.BATCH_PATH


def include_routers(app: FastAPI, prefix: str) -> None:
    """Give every feature its place."""
    for router in (*SPECIFICATION, *CANONICAL):
        app.include_router(router, prefix=prefix)
    for router in (*SPECIFICATION, *PAGES):
        app.include_router(router)


def fast_routes(prefix: str) -> list[Route]:
    """Return the routes of the money path, under the prefix and at the root."""
    return transfers.hot_routes(prefix, "")
