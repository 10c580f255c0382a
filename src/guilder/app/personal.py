"""Starts what is about people rather than money, once everything that knows them runs."""

from contextlib import AsyncExitStack

from fastapi import FastAPI

from guilder.identity.addresses import Addresses
from guilder.identity.notices import Notices
from guilder.kyc.providers import Providers, SimulatedProvider
from guilder.kyc.service import KycService
from guilder.privacy.closing import Closer
from guilder.privacy.export import Exporter
from guilder.privacy.leftovers import Leftovers
from guilder.server_secrets import Secrets
from guilder.settings import Settings
from guilder.vault.vault import derived_key
from guilder.wallets.limits import LimitSource, SpendingLimits
from guilder.wallets.tiered import TieredLimits
from guilder.wallets.tiers import Tier, TierLimits


def limits_of(app: FastAPI, settings: Settings) -> LimitSource:
    """Return what knows how much may leave a wallet. Without limits by tier it asks nobody."""
    base = SpendingLimits(
        per_transfer=settings.limit_transfer_minor, daily=settings.limit_daily_minor
    )
    if not settings.tier_limits:
        return base
    by_tier = {
        Tier(tier): TierLimits(transfer=maxima.transfer, daily=maxima.daily, monthly=maxima.monthly)
        for tier, maxima in settings.tier_limits.items()
    }
    return TieredLimits(base, by_tier, storage=app.state.storage)


def start_kyc(app: FastAPI, settings: Settings, secrets: Secrets) -> None:
    """Start what proves who people are: `state.kyc`. Providers come with the simulator."""
    secret = secrets.simulator_webhook_secret.get_secret_value().encode()
    simulated = SimulatedProvider(derived_key(secret, "kyc-simulator"))
    app.state.kyc = KycService(
        storage=app.state.storage,
        clock=app.state.clock,
        vault=app.state.vault,
        audit=app.state.audit,
        notices=Notices(
            app.state.outbox, addresses=Addresses(app.state.vault), clock=app.state.clock
        ),
        providers=Providers([simulated] if settings.simulator_enabled else []),
    )


def start_privacy(app: FastAPI, stack: AsyncExitStack, settings: Settings) -> None:
    """Start what copies and erases everything about a person: `state.exporter`, `state.closer`."""
    state = app.state
    state.exporter = Exporter(
        storage=state.storage,
        clock=state.clock,
        vault=state.vault,
        identity=state.identity,
        wallets=state.wallets,
    )
    leftovers = Leftovers(
        storage=state.storage,
        clock=state.clock,
        payment_requests=state.payment_requests,
        schedules=state.schedules,
    )
    state.closer = Closer(
        storage=state.storage,
        clock=state.clock,
        identity=state.identity,
        audit=state.audit,
        outbox=state.outbox,
        journal=state.journal,
        wallets=state.wallet_control,
        payouts=state.payouts,
        leftovers=leftovers,
        access_ttl_s=settings.access_ttl_s,
    )
    state.closer.start()
    stack.push_async_callback(state.closer.stop)
