"""A small Guilder for money in and out: real HTTP, real storage, a clock that a test moves."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import httpx2
import uvicorn
from fastapi import FastAPI

from guilder.gateways import routes as gateway_routes
from guilder.gateways.base import Destination, DestinationType, Gateways, SubjectKind
from guilder.gateways.intake import WebhookIntake
from guilder.gateways.models import WebhookReceipt
from guilder.gateways.simulator.adapter import SimulatorGateway
from guilder.gateways.simulator.application import SimulatorApplication, simulator_app
from guilder.gateways.simulator.config import SimulatorConfig
from guilder.gateways.simulator.models import MODELS, FaultScript
from guilder.identity.authentication import Authenticator, Principal
from guilder.identity.errors import Unauthenticated
from guilder.identity.factors.rules import StepUpPolicy
from guilder.kernel.clock import utc_now
from guilder.kernel.currency import currency
from guilder.kernel.ids import SessionId, UserId, WalletId, derived_uuid, encode_id
from guilder.kernel.money import Money
from guilder.ledger.chart import AccountCode, system_account
from guilder.ledger.followers import FollowerPosition
from guilder.ledger.journal import Journal
from guilder.middlewares import problems
from guilder.payments import routes as payment_routes
from guilder.payments.models import Payment
from guilder.payments.service import Order as PaymentOrder
from guilder.payments.service import PaymentService
from guilder.payouts import routes as payout_routes
from guilder.payouts.followers import write_payouts
from guilder.payouts.models import Payout
from guilder.payouts.service import Order as PayoutOrder
from guilder.payouts.service import PayoutService
from guilder.storage.base import Document, Storage
from guilder.wallets.accounts import wallet_account_id

ALL_MODELS: tuple[type[Document], ...] = (
    *MODELS,
    Payment,
    Payout,
    WebhookReceipt,
    FollowerPosition,
)
USD = currency("USD")


class MovableClock:
    """Real time plus what a test has added."""

    def __init__(self) -> None:
        self._added = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self._added

    def move(self, by: timedelta) -> None:
        self._added += by

    def reset(self) -> None:
        self._added = timedelta()


class _Server(uvicorn.Server):
    """Does not touch the signals of the test process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class PassToken:
    """Takes the access token for the user's id: `Bearer <name>`."""

    def principal(self, access_token: str) -> Principal:
        if not access_token.startswith("user"):
            raise Unauthenticated
        return principal(access_token)


class AsksNobody:
    """Stands for a step-up that no amount asks for."""

    policy = StepUpPolicy()

    def asks(self, amount_minor: int, currency: str) -> bool:
        return False


def principal(name: str) -> Principal:
    return Principal(
        user_id=UserId(encode_id("user", derived_uuid("test-user", name))),
        wallet_id=WalletId(encode_id("wallet", derived_uuid("test-wallet", name))),
        session_id=SessionId("session_test"),
    )


@dataclass
class World:
    """Everything about money in and out, and the simulated company that it speaks to."""

    storage: Storage
    journal: Journal
    clock: MovableClock
    config: SimulatorConfig
    company: SimulatorApplication
    gateway: SimulatorGateway
    gateways: Gateways
    payments: PaymentService
    payouts: PayoutService
    intake: WebhookIntake
    client: httpx2.AsyncClient
    app: FastAPI

    async def begin(self, name: str = "user1", amount: int = 1_000, key: str = "") -> Payment:
        who = principal(name)
        order = PaymentOrder(
            user_id=who.user_id,
            wallet_id=who.wallet_id,
            money=Money(amount, USD),
            gateway=None,
            return_url=None,
        )
        key = key or str(uuid4())
        return (await self.payments.add_funds(order, key=key, fingerprint=bytes(32))).payment

    async def press(self, payment: Payment, decision: str = "pay") -> None:
        """Press a button of the checkout page, as a browser does."""
        assert payment.checkout_url is not None
        page = await self.client.get(payment.checkout_url)
        if "<form" not in page.text:
            return  # It was pressed before.
        token = page.text.partition('name="token" value="')[2].partition('"')[0]
        form = {"token": token, "decision": decision}
        answer = await self.client.post(payment.checkout_url, data=form)
        assert answer.status_code == 303, answer.text

    async def fund(self, name: str = "user1", amount: int = 10_000) -> None:
        payment = await self.begin(name, amount)
        await self.press(payment)
        assert payment.reference is not None
        assert await self.payments.checker.check_reference("simulator", payment.reference)

    async def withdraw(
        self, token: str, name: str = "user1", amount: int = 1_000, key: str = ""
    ) -> Payout:
        requested = await self.payouts.withdraw(
            self.order(token, name, amount), key=key or str(uuid4()), fingerprint=bytes(32)
        )
        payout_id = encode_id("payout", requested.transfer.id)
        return await self.payouts.payout(payout_id, user_id=principal(name).user_id)

    def order(self, token: str, name: str = "user1", amount: int = 1_000) -> PayoutOrder:
        who = principal(name)
        return PayoutOrder(
            user_id=who.user_id,
            wallet_id=who.wallet_id,
            money=Money(amount, USD),
            gateway=None,
            destination=Destination(type=DestinationType.BANK_ACCOUNT, token=token),
            description="",
        )

    async def script(self, our_reference: str, **faults: object) -> None:
        now = self.clock()
        script = FaultScript(id=our_reference, created_at=now, updated_at=now, **faults)  # type: ignore[arg-type]
        await self.company.simulator.write_script(script)

    async def deliver(self) -> None:
        """Send every due webhook and process what came in, until there is nothing due."""
        while await self.company.work():
            pass
        while await self.intake.process_due():
            pass

    async def payment(self, payment: Payment) -> Payment:
        found = await self.storage.documents(Payment).get(payment.id)
        assert found is not None
        return found

    async def payout(self, payout: Payout) -> Payout:
        found = await self.storage.documents(Payout).get(payout.id)
        assert found is not None
        return found

    async def balance(self, name: str = "user1") -> int:
        return await self._posted(wallet_account_id(principal(name).wallet_id, "USD"))

    async def in_transit(self) -> int:
        return await self._system(AccountCode.PAYOUTS_IN_TRANSIT)

    async def clearing(self) -> int:
        return await self._system(AccountCode.GATEWAY_CLEARING)

    async def codes(self) -> list[str]:
        """Return the codes of all transfers, in order."""
        return [t.code for t in await self.journal.book.transfers_after(0, 10_000)]

    async def _system(self, code: AccountCode) -> int:
        account = system_account(code, owner="simulator", asset="USD", now=self.clock())
        return await self._posted(account.id)

    async def _posted(self, account_id: object) -> int:
        found = await self.journal.book.accounts([account_id])  # type: ignore[list-item]
        return sum(account.posted for account in found.values())


@contextlib.asynccontextmanager
async def serving(app: FastAPI, listener: socket.socket) -> AsyncIterator[None]:
    """Serve on a listening socket."""
    server = _Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn has a flag, no event
            await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def world(storage: Storage) -> AsyncIterator[World]:
    """Build the small Guilder on empty storage. Nothing runs by itself: a test makes the steps."""
    await storage.migrate(ALL_MODELS)
    clock = MovableClock()
    journal = Journal(storage.ledger())
    await journal.start()
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = SimulatorConfig(
        api_url=f"{url}/simulator",
        public_url=f"{url}/simulator",
        webhook_url=f"{url}/v1/gateways/simulator/webhook",
        api_secret="the secret of the api",
        webhook_secrets=("the secret of webhooks",),
        # On a machine that is busy, a healthy gateway may stand still for seconds.
        timeout_ms=30_000,
        payout_settles_after_ms=0,
    )
    company = simulator_app(storage, config, clock=clock)
    gateway = SimulatorGateway(config)
    gateways = Gateways(gateway)
    payments = PaymentService(storage, journal, gateways, clock=clock)
    payouts = PayoutService(storage, journal, gateways, clock=clock, react=write_payouts)
    handlers = {
        SubjectKind.PAYMENT: payments.checker.check_reference,
        SubjectKind.PAYOUT: payouts.worker.check_reference,
    }
    intake = WebhookIntake(storage, gateways, handlers, clock=clock)
    app = _app(company, payments, payouts, intake)
    async with serving(app, listener), httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        yield World(
            storage=storage,
            journal=journal,
            clock=clock,
            config=config,
            company=company,
            gateway=gateway,
            gateways=gateways,
            payments=payments,
            payouts=payouts,
            intake=intake,
            client=client,
            app=app,
        )
        for each in (payments, payouts, intake, company):
            await each.stop()
        await gateways.aclose()
        await journal.stop()


def _app(
    company: SimulatorApplication,
    payments: PaymentService,
    payouts: PayoutService,
    intake: WebhookIntake,
) -> FastAPI:
    app = FastAPI()
    problems.install(app)
    for router in (payment_routes.specification_router, payout_routes.specification_router):
        app.include_router(router)
        app.include_router(router, prefix="/v1")
    for router in (payment_routes.router, payout_routes.router, gateway_routes.router):
        app.include_router(router, prefix="/v1")
    app.mount("/simulator", company)
    app.state.fingerprint_key = bytes(32)
    app.state.payments = payments
    app.state.payouts = payouts
    app.state.intake = intake
    app.state.authenticator = Authenticator(PassToken())
    app.state.identity = SimpleNamespace(step_up=AsksNobody())
    return app
