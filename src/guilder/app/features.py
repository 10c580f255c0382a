"""What the features bring: stored models, routers, routes of the money path."""

from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.routing import Route

from guilder.gateways import routes as gateways
from guilder.gateways.models import WebhookReceipt
from guilder.gateways.simulator.models import MODELS as SIMULATOR_MODELS
from guilder.identity import routes as identity
from guilder.identity.models import MODELS as IDENTITY_MODELS
from guilder.ledger.followers import FollowerPosition
from guilder.payments import routes as payments
from guilder.payments.models import Payment
from guilder.storage.base import Document
from guilder.wallets import routes as wallets
from guilder.wallets.models import Wallet

MODELS: Final[tuple[type[Document], ...]] = (
    *IDENTITY_MODELS,
    Wallet,
    Payment,
    WebhookReceipt,
    FollowerPosition,
    *SIMULATOR_MODELS,
)
"""Every stored record. The simulator's are there in production too: empty, and one schema for all."""

CANONICAL: Final[tuple[APIRouter, ...]] = (
    identity.router,
    payments.router,
    gateways.router,
)
"""Under the prefix only."""
SPECIFICATION: Final[tuple[APIRouter, ...]] = (
    identity.specification_router,
    wallets.specification_router,
    payments.specification_router,
)
"""Under the prefix and at the root."""


def include_routers(app: FastAPI, prefix: str) -> None:
    """Give every feature its place."""
    for router in (*SPECIFICATION, *CANONICAL):
        app.include_router(router, prefix=prefix)
    for router in SPECIFICATION:
        app.include_router(router)


def fast_routes(prefix: str) -> list[Route]:
    """Return the routes of the money path under a prefix."""
    del prefix
    return []


def described_paths(prefix: str) -> dict[str, Any]:
    """Return the description of the money path, under the prefix and at the root."""
    del prefix
    return {}
