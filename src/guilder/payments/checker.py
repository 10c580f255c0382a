"""Finds out what became of a payment, and records it: fetch, compare, post once, write down.

Everything that may have news of a payment (webhook, janitor, a retried request) comes here, in any
order, any number of times, at once, and after any crash.
"""

from contextlib import suppress
from datetime import datetime
from functools import partial

import structlog
from msgspec.structs import replace

from guilder.gateways.base import Checkout, Gateway, GatewayPayment, Gateways
from guilder.gateways.errors import GatewayRefused
from guilder.gateways.schedule import CheckSchedule
from guilder.gateways.watch import Watch
from guilder.kernel.clock import Clock
from guilder.kernel.errors import check
from guilder.kernel.ids import encode_id
from guilder.ledger.errors import AccountClosed
from guilder.ledger.journal import Journal
from guilder.ledger.models import Verdict
from guilder.payments.models import Payment
from guilder.payments.posting import accounts_of, capture_of
from guilder.payments.rules import Decision, Expected, PaymentStatus, Step, decide
from guilder.storage.base import Storage
from guilder.storage.errors import VersionConflict
from guilder.wallets.service import WalletService

_DONE = (Verdict.CREATED, Verdict.EXISTS)
_log = structlog.get_logger(__name__)


class PaymentChecker:
    """What moves payments forward."""

    def __init__(
        self,
        storage: Storage,
        journal: Journal,
        gateways: Gateways,
        *,
        clock: Clock,
        schedule: CheckSchedule,
        wallets: WalletService | None = None,
    ) -> None:
        self._wallets = wallets
        self._payments = storage.documents(Payment)
        self._watch = Watch(self._payments, clock=clock, schedule=schedule)
        self._journal = journal
        self._gateways = gateways
        self._clock = clock
        self._schedule = schedule

    async def check_reference(self, gateway_name: str, reference: str) -> bool:
        """Fetch a gateway's payment and record what follows; tell whether it is one of ours.

        Raises:
            GatewayUnclear: The gateway has not answered. Nothing is known, nothing changed.
            GatewayRefused: The gateway has no such payment.
            Unavailable: Our database is away. Checking again is safe.
        """
        gateway = self._gateways.pick(gateway_name)
        found = await gateway.fetch_payment(reference)
        payment = await self._watch.ours(found.our_reference, gateway=gateway_name)
        if payment is None:
            return False
        await self._apply(payment, found, gateway)
        return True

    async def check_due(self) -> bool:
        """Fetch payments that nobody told us about in time; tell whether there may be more."""
        return await self._watch.work_due(self._check, taken=_taken)

    async def ensure_checkout(self, payment: Payment) -> Payment:
        """Return the payment with its checkout, asking the gateway for it if that is not recorded.

        Asking twice is safe: the payment's id is the idempotency key.

        Raises:
            GatewayUnclear: There is no clear answer yet.
            GatewayRefused: There never will be a checkout; the payment has failed.
        """
        if payment.checkout_url is not None:
            return payment
        if payment.status is PaymentStatus.FAILED and payment.reference is None:
            raise GatewayRefused(payment.failure_code or "refused")
        gateway = self._gateways.pick(payment.gateway)
        try:
            checkout = await gateway.create_checkout(
                payment.id,
                money=payment.money,
                our_reference=payment.id,
                return_url=payment.return_url,
            )
        except GatewayRefused as error:
            await self._watch.change(payment, partial(_refused, failure_code=error.failure_code))
            raise
        return await self._watch.change(payment, partial(_opened, checkout=checkout))

    async def _check(self, payment: Payment) -> None:
        """Fetch one payment, after its checkout if that is not recorded."""
        if payment.reference is None:
            payment = await self.ensure_checkout(payment)
        check(payment.reference is not None, "a checkout has a reference")
        await self.check_reference(payment.gateway, str(payment.reference))

    async def _apply(self, payment: Payment, found: GatewayPayment, gateway: Gateway) -> None:
        """Do what follows from a fetch, on the payment as it stands when that is written."""
        while True:
            now = self._clock()
            is_over = self._schedule.is_over(now, created_at=payment.created_at)
            decision = decide(_expected(payment, gateway), found, is_over=is_over)
            if decision.step is Step.CAPTURE:
                decision, transfer_id = await self._capture(payment, found.reference)
            else:
                transfer_id = None
            after = self._after(payment, decision, found.reference, transfer_id, is_over=is_over)
            if after == payment:
                return
            try:
                await self._payments.replace(replace(after, updated_at=now))
            except VersionConflict:
                payment = await self._watch.load(payment.id)
                continue
            if decision.step is Step.ALARM:
                _log.error("payment_alarmed", payment=payment.id, reason=decision.reason)
            return

    def _after(
        self,
        payment: Payment,
        decision: Decision,
        reference: str,
        transfer_id: str | None,
        *,
        is_over: bool,
    ) -> Payment:
        """Return the payment as the decision leaves it."""
        if decision.step is Step.CAPTURE:
            return replace(
                payment,
                status=PaymentStatus.CAPTURED,
                reference=reference,
                transfer_id=transfer_id,
                failure_code=None,
                is_watched=False,
            )
        if decision.step is Step.ALARM:
            # The reference is not noted: it may be another payment's.
            return replace(
                payment,
                status=PaymentStatus.ALARMED,
                failure_code=decision.reason,
                is_watched=False,
            )
        if decision.step is Step.EXPIRE:
            return replace(payment, status=PaymentStatus.EXPIRED, is_watched=False)
        if decision.step is Step.FAIL:
            # One more look at the end: some gateways turn a failure into late success.
            return replace(
                payment,
                status=PaymentStatus.FAILED,
                reference=reference,
                failure_code=decision.reason,
                is_watched=not is_over,
                next_check_at=payment.created_at + self._schedule.until,
            )
        is_finished = is_over and payment.status is not PaymentStatus.PENDING
        return replace(payment, is_watched=payment.is_watched and not is_finished)

    async def _capture(self, payment: Payment, reference: str) -> tuple[Decision, str | None]:
        """Credit the wallet, once, and return what that came to."""
        await self._journal.open_accounts(accounts_of(payment))
        if self._wallets is not None:
            # In a new currency too, nothing leaves a frozen wallet; a closed one is refused below.
            with suppress(AccountClosed):
                await self._wallets.open_accounts([payment.wallet_id], payment.currency)
        outcome = await self._journal.post(capture_of(payment, reference=reference))
        if outcome.verdict in _DONE and outcome.transfer is not None:
            return Decision(Step.CAPTURE), encode_id("transfer", outcome.transfer.id)
        return Decision(Step.ALARM, str(outcome.verdict)), None


def _expected(payment: Payment, gateway: Gateway) -> Expected:
    return Expected(
        our_reference=payment.id,
        reference=payment.reference,
        money=payment.money,
        is_live=gateway.is_live,
        status=payment.status,
    )


def _opened(payment: Payment, *, checkout: Checkout) -> Payment:
    """Note the checkout; one that is noted already stays, so that every answer is the same."""
    if payment.checkout_url is not None:
        return payment
    return replace(payment, reference=checkout.reference, checkout_url=checkout.url)


def _refused(payment: Payment, *, failure_code: str) -> Payment:
    """Note that there never will be a checkout."""
    if payment.reference is not None or payment.status is not PaymentStatus.PENDING:
        return payment
    return replace(
        payment, status=PaymentStatus.FAILED, failure_code=failure_code, is_watched=False
    )


def _taken(payment: Payment, now: datetime) -> Payment:
    return replace(payment, updated_at=now)
