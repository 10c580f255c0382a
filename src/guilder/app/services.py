"""Opens the database, starts every service in order, and stops them the other way round."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.routing import Mount

from guilder.admin.service import Administration
from guilder.app.api_keys import start_api_keys
from guilder.app.features import MODELS, PREFIX
from guilder.app.messages import has_mailbox, start_messages
from guilder.app.outside import outside_config
from guilder.app.personal import limits_of, start_kyc, start_privacy
from guilder.app.sessions import signing_keys, start_cookies
from guilder.audit.sealer import AuditSealer
from guilder.audit.trail import AddressKey, AuditTrail
from guilder.checkpoints.service import CheckpointService
from guilder.gateways.base import Gateways, SubjectKind
from guilder.gateways.intake import WebhookIntake
from guilder.gateways.simulator.adapter import SimulatorGateway
from guilder.gateways.simulator.application import SimulatorApplication
from guilder.gateways.simulator.config import SimulatorConfig
from guilder.holds.service import HoldService
from guilder.identity.authentication import Authenticator
from guilder.identity.config import IdentityConfig
from guilder.identity.factors.passkey_rules import RelyingParty
from guilder.identity.factors.rules import StepUpPolicy
from guilder.identity.service import IdentityService
from guilder.kernel.clock import utc_now
from guilder.kernel.errors import Unavailable
from guilder.ledger.checkpoints import CheckpointKey
from guilder.ledger.journal import Journal
from guilder.payment_requests.service import PaymentRequestService
from guilder.payments.service import PaymentService
from guilder.payouts.followers import write_payouts
from guilder.payouts.service import PayoutService
from guilder.schedules.service import ScheduleService
from guilder.server_secrets import Secrets, load_secrets
from guilder.settings import Settings
from guilder.storage import open_storage
from guilder.storage.base import Storage
from guilder.transfers.batches import TransferBatches
from guilder.transfers.service import TransferService
from guilder.vault.vault import Vault, VaultKey, derived_key
from guilder.wallets.control import WalletControl
from guilder.wallets.service import WalletService
from guilder.web.audit import AuditCollector
from guilder.web.books import BooksCollector, JournalCollector
from guilder.web.health import Check
from guilder.web.neighbours import Neighbours

SIMULATOR_PATH = "/simulator"
_log = structlog.get_logger("guilder.app")


@asynccontextmanager
async def run_services(
    app: FastAPI,
    settings: Settings,
    registry: CollectorRegistry,
    neighbours: Neighbours | None = None,
) -> AsyncIterator[None]:
    """Run everything that stands behind the routes, from the database up.

    Args:
        neighbours: This is one of several workers, for which another process runs and migrates
            the database.

    Invariants:
        Nothing answers before the schema is current and the journal takes requests.
        Stopping goes the other way: first who asks for transfers, then the journal, which commits
        what waits, then the database.
    """
    secrets = load_secrets(settings)
    async with AsyncExitStack() as stack:
        storage = await opened_storage(settings, joins=neighbours is not None)
        stack.push_async_callback(storage.close)
        if neighbours is None:
            await migrate(storage)
        else:
            await stack.enter_async_context(neighbours.telling(registry))
        journal = Journal(storage.ledger())
        await journal.start()
        stack.push_async_callback(journal.stop)
        registry.register(JournalCollector(journal))
        app.state.storage, app.state.journal, app.state.clock = storage, journal, utc_now
        app.state.vault = vault_of(secrets)
        app.state.fingerprint_key = _derived(secrets, "request-fingerprint")
        _start_audit(app, stack, secrets)
        registry.register(AuditCollector(app.state.audit_sealer))
        start_messages(app, stack, settings)
        await _start_people(app, stack, settings, secrets)
        await start_api_keys(app, stack, settings)
        app.state.limits = limits_of(app, settings)
        start_kyc(app, settings, secrets)
        _start_transfers(app, stack)
        _start_checkpoints(app, stack, settings, secrets)
        registry.register(BooksCollector(app.state.checkpoints))
        await _start_requests(app, stack, settings)
        await _start_gateways(app, stack, settings, secrets)
        start_privacy(app, stack, settings)
        yield


async def migrate(storage: Storage) -> None:
    """Bring the schema up to date, as every start does."""
    changes = await storage.migrate(MODELS)
    if changes:
        _log.info("schema changed", changes=len(changes))


async def opened_storage(settings: Settings, *, joins: bool = False) -> Storage:
    """Open the database that the settings name.

    Args:
        joins: The bundled one is run by another process of ours.
    """
    url, owner_url = settings.database_url, settings.database_owner_url
    return await open_storage(
        url.get_secret_value() if url else None,
        data_directory=settings.data_directory,
        joins=joins,
        owner_url=owner_url.get_secret_value() if owner_url else None,
        accepted_settings=frozenset(settings.database_accepted_settings),
    )


def _start_audit(app: FastAPI, stack: AsyncExitStack, secrets: Secrets) -> None:
    """Start the record of security events, and what seals it."""
    state = app.state
    key = AddressKey(secrets.pepper.get_secret_value().encode())
    state.audit = AuditTrail(state.storage, clock=state.clock, address_key=key)
    state.audit_sealer = AuditSealer(state.storage, clock=state.clock)
    state.audit_sealer.start()
    stack.push_async_callback(state.audit_sealer.stop)


async def _start_people(
    app: FastAPI, stack: AsyncExitStack, settings: Settings, secrets: Secrets
) -> None:
    """Start users and their wallets, which know each other: a new user has a wallet at once."""
    state = app.state

    async def open_wallet(transaction: object, user: object) -> None:
        await state.wallets.open_for(transaction, user)

    state.identity = IdentityService(
        storage=state.storage,
        clock=state.clock,
        config=identity_config(settings, secrets),
        vault=state.vault,
        on_registered=(open_wallet,),
        audit=state.audit,
        outbox=state.outbox,
    )
    state.wallets = WalletService(
        storage=state.storage,
        journal=state.journal,
        identity=state.identity,
        clock=state.clock,
        default_currency=settings.default_currency,
    )
    state.authenticator = Authenticator(state.identity)
    start_cookies(app, settings, secrets, prefix=PREFIX)
    state.administration = Administration(
        state.storage, clock=state.clock, identity=state.identity, audit=state.audit
    )
    await state.identity.start()
    stack.push_async_callback(state.identity.stop)
    state.wallet_control = WalletControl(
        storage=state.storage, journal=state.journal, clock=state.clock
    )


def _start_transfers(app: FastAPI, stack: AsyncExitStack) -> None:
    """Start what moves money between wallets at once, or sets it aside."""
    state, limits = app.state, app.state.limits
    state.transfers = TransferService(
        journal=state.journal,
        wallets=state.wallets,
        identity=state.identity,
        limits=limits,
        clock=state.clock,
    )
    state.transfer_batches = TransferBatches(
        journal=state.journal,
        wallets=state.wallets,
        identity=state.identity,
        limits=limits,
        clock=state.clock,
    )
    state.holds = HoldService(
        journal=state.journal,
        wallets=state.wallets,
        identity=state.identity,
        limits=limits,
        clock=state.clock,
    )
    state.holds.start()
    stack.push_async_callback(state.holds.stop)


async def _start_requests(app: FastAPI, stack: AsyncExitStack, settings: Settings) -> None:
    """Start what moves money between wallets later than it is asked for."""
    state, limits = app.state, app.state.limits
    state.payment_requests = PaymentRequestService(
        state.storage,
        state.journal,
        wallets=state.wallets,
        identity=state.identity,
        clock=state.clock,
        base_url=settings.base_url,
        limits=limits,
    )
    state.schedules = ScheduleService(
        state.storage,
        state.journal,
        wallets=state.wallets,
        clock=state.clock,
        limits=limits,
    )
    for service in (state.payment_requests, state.schedules):
        service.start()
        stack.push_async_callback(service.stop)


def _start_checkpoints(
    app: FastAPI, stack: AsyncExitStack, settings: Settings, secrets: Secrets
) -> None:
    """Start the audit in the background, and the signing of what it finds right."""
    state = app.state
    state.checkpoints = CheckpointService(
        state.storage,
        state.journal.book,
        CheckpointKey(secrets.checkpoint_key.get_secret_value().encode()),
        clock=state.clock,
        interval_s=settings.checkpoint_interval_s,
    )
    state.checkpoints.start(every_s=settings.books_check_interval_s)
    stack.push_async_callback(state.checkpoints.stop)


def vault_of(secrets: Secrets) -> Vault:
    """Return what seals personal data and secrets before they are stored."""
    keys = [VaultKey(key.get_secret_value().encode()) for key in secrets.encryption_keys]
    return Vault(keys, index_secret=_derived(secrets, "vault-index"))


def _derived(secrets: Secrets, purpose: str) -> bytes:
    """Return a key that stays the same for ever: the pepper, too, is never changed."""
    return derived_key(secrets.pepper.get_secret_value().encode(), purpose)


def identity_config(settings: Settings, secrets: Secrets) -> IdentityConfig:
    """Return what identity must be told."""
    domain, origins = settings.passkey_party
    return IdentityConfig(
        signing_keys=signing_keys(settings, secrets),
        pepper=secrets.pepper.get_secret_value().encode(),
        access_ttl_s=settings.access_ttl_s,
        refresh_ttl_s=settings.refresh_ttl_s,
        staff_session_ttl_s=settings.staff_session_ttl_s,
        staff_second_factor_required=settings.staff_second_factor_required,
        session_idle_s=settings.session_idle_s,
        password_hasher=settings.password_hasher,
        password_hasher_previous=settings.password_hasher_previous_kind,
        bcrypt_cost=settings.bcrypt_cost,
        password_min_length=settings.password_min_length,
        throttles_addresses=settings.rate_limit_enabled,
        verified_contact_required=settings.verified_contact_required,
        sms_offered=settings.sms_account_sid is not None or has_mailbox(settings),
        recovery_page=settings.recovery_url,
        brand=settings.brand_name,
        step_up=StepUpPolicy(
            transfer_minor=settings.step_up_transfer_minor, payouts=settings.step_up_payouts
        ),
        relying_party=RelyingParty(domain, settings.brand_name, origins),
        outside=outside_config(settings),
    )


async def _start_gateways(
    app: FastAPI, stack: AsyncExitStack, settings: Settings, secrets: Secrets
) -> None:
    """Start the gateways, and what brings money in and out through them."""
    state = app.state
    gateways = Gateways(*await _simulator(app, stack, settings, secrets))
    state.payments = PaymentService(
        state.storage, state.journal, gateways, clock=state.clock, wallets=state.wallets
    )
    state.payouts = PayoutService(
        state.storage,
        state.journal,
        gateways,
        clock=state.clock,
        react=write_payouts,
        limits=state.limits,
    )
    handlers = {
        SubjectKind.PAYMENT: state.payments.checker.check_reference,
        SubjectKind.PAYOUT: state.payouts.worker.check_reference,
    }
    state.intake = WebhookIntake(state.storage, gateways, handlers, clock=state.clock)
    for service in (state.payments, state.payouts, state.intake):
        service.start()
        stack.push_async_callback(service.stop)


async def _simulator(
    app: FastAPI, stack: AsyncExitStack, settings: Settings, secrets: Secrets
) -> list[SimulatorGateway]:
    """Start the simulated company and its adapter, where they are wanted."""
    if not settings.simulator_enabled:
        return []
    config = simulator_config(settings, secrets)
    company = SimulatorApplication(app.state.storage, config, clock=app.state.clock)
    app.router.routes.append(Mount(SIMULATOR_PATH, company))
    company.start()
    stack.push_async_callback(company.stop)
    adapter = SimulatorGateway(config)
    stack.push_async_callback(adapter.aclose)
    return [adapter]


def simulator_config(settings: Settings, secrets: Secrets) -> SimulatorConfig:
    """Return what both sides of the simulator must know. They speak over loopback."""
    host = settings.host if settings.is_loopback else "127.0.0.1"
    here = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    secret = secrets.simulator_webhook_secret.get_secret_value()
    return SimulatorConfig(
        api_url=here + SIMULATOR_PATH,
        public_url=settings.base_url + SIMULATOR_PATH,
        webhook_url=f"{here}/v1/gateways/simulator/webhook",
        # Made from the one secret, so that there is nothing more to configure.
        api_secret=hmac.new(secret.encode(), b"guilder:simulator-api", hashlib.sha256).hexdigest(),
        webhook_secrets=(secret,),
    )


def readiness(app: FastAPI) -> Mapping[str, Check]:
    """Return what must be well for this process to serve."""

    async def database() -> str:
        await app.state.storage.ping()
        return "answers"

    async def migrations() -> str:
        # Nothing is served before they were made; see `run_services`.
        return "current"

    async def journal() -> str:
        writer: Journal = app.state.journal
        if not writer.is_running:
            raise Unavailable
        return f"runs, {writer.waiting} waiting"

    async def books() -> str:
        return str(await app.state.checkpoints.ready())

    async def audit() -> str:
        # Never a reason not to serve: what is recorded is safe, and is sealed when it can be.
        return str(app.state.audit_sealer.state())

    return {
        "database": database,
        "migrations": migrations,
        "journal": journal,
        "books": books,
        "audit": audit,
    }
