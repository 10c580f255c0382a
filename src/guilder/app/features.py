"""What the features bring: stored models, routers, routes of the money path."""

from typing import Final

from fastapi import APIRouter, FastAPI
from starlette.routing import Route

from guilder.admin import routes as admin
from guilder.api_keys import routes as api_keys
from guilder.api_keys.models import MODELS as API_KEY_MODELS
from guilder.audit.models import MODELS as AUDIT_MODELS
from guilder.checkpoints import routes as checkpoints
from guilder.gateways import routes as gateways
from guilder.gateways.models import WebhookReceipt
from guilder.gateways.simulator.models import MODELS as SIMULATOR_MODELS
from guilder.holds import routes as holds
from guilder.identity import contact_change_routes, contact_routes, session_routes
from guilder.identity import routes as identity
from guilder.identity.factors import passkey_routes
from guilder.identity.factors import routes as factors
from guilder.identity.factors.models import MODELS as FACTOR_MODELS
from guilder.identity.factors.passkey_models import MODELS as PASSKEY_MODELS
from guilder.identity.models import MODELS as IDENTITY_MODELS
from guilder.identity.outside import routes as outside
from guilder.identity.outside.models import MODELS as OUTSIDE_MODELS
from guilder.kyc import routes as kyc
from guilder.kyc.models import MODELS as KYC_MODELS
from guilder.ledger.checkpoints import Checkpoint
from guilder.ledger.followers import FollowerPosition
from guilder.notifications.models import MODELS as MESSAGE_MODELS
from guilder.payment_requests import routes as payment_requests
from guilder.payment_requests.models import PaymentRequest
from guilder.payments import routes as payments
from guilder.payments.models import Payment
from guilder.payouts import routes as payouts
from guilder.payouts.models import Payout
from guilder.privacy import routes as privacy
from guilder.privacy.models import MODELS as PRIVACY_MODELS
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
    *FACTOR_MODELS,
    *PASSKEY_MODELS,
    *OUTSIDE_MODELS,
    *API_KEY_MODELS,
    Wallet,
    Payment,
    Payout,
    PaymentRequest,
    *SCHEDULE_MODELS,
    WebhookReceipt,
    *MESSAGE_MODELS,
    *KYC_MODELS,
    *PRIVACY_MODELS,
    FollowerPosition,
    Checkpoint,
    *SIMULATOR_MODELS,
)
"""Every stored record. The simulator's too, also in production: one schema for all."""

CANONICAL: Final[tuple[APIRouter, ...]] = (
    identity.router,
    contact_routes.router,
    contact_change_routes.router,
    outside.router,
    session_routes.router,
    factors.router,
    passkey_routes.router,
    api_keys.router,
    wallet_routes.router,
    transfer_routes.router,
    holds.router,
    payments.router,
    payouts.router,
    payment_requests.router,
    schedules.router,
    gateways.router,
    checkpoints.router,
    kyc.router,
    privacy.router,
    admin.router,
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

PREFIX: Final = "/v1"
"""Of the canonical paths."""
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
