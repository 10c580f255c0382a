"""What a user does with payments: begin one, look at one. And the janitor that runs beside it."""

from dataclasses import dataclass

from guilder.gateways.base import Gateways
from guilder.gateways.return_urls import origin_of
from guilder.gateways.schedule import CheckSchedule
from guilder.kernel.clock import Clock
from guilder.kernel.errors import FieldError, NotFound
from guilder.kernel.ids import PaymentId, UserId, WalletId, decode_id, derived_uuid, encode_id
from guilder.kernel.money import Money
from guilder.ledger.background import BackgroundTask
from guilder.ledger.errors import IdempotencyKeyReused
from guilder.ledger.journal import Journal
from guilder.payments.checker import PaymentChecker
from guilder.payments.errors import ReturnUrlInvalid
from guilder.payments.models import Payment
from guilder.payments.rules import PaymentStatus
from guilder.storage.base import Storage
from guilder.storage.errors import DuplicateDocument
from guilder.wallets.service import WalletService


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody wants to add to a wallet.

    Args:
        gateway: Name; None for the default one.
        return_url: Where the checkout sends the browser afterwards.
    """

    user_id: UserId
    wallet_id: WalletId
    money: Money
    gateway: str | None
    return_url: str | None


@dataclass(frozen=True, slots=True)
class Begun:
    """A payment that was begun, now or by an earlier request under the same key."""

    payment: Payment
    is_replayed: bool


class PaymentService:
    """Money in. The janitor runs between `start` and `stop`.

    Args:
        schedule: When payments are fetched without being told to.
        every_ms: How often the janitor looks for what is due.
        wallets: Tells whose new accounts are frozen or closed from the beginning.
    """

    def __init__(
        self,
        storage: Storage,
        journal: Journal,
        gateways: Gateways,
        *,
        clock: Clock,
        schedule: CheckSchedule | None = None,
        every_ms: int = 5_000,
        wallets: WalletService | None = None,
    ) -> None:
        self._payments = storage.documents(Payment)
        self._gateways = gateways
        self._clock = clock
        self._schedule = schedule or CheckSchedule()
        self.checker = PaymentChecker(
            storage, journal, gateways, clock=clock, schedule=self._schedule, wallets=wallets
        )
        self._janitor = BackgroundTask("payment-janitor", self.checker.check_due, every_ms=every_ms)

    @property
    def is_running(self) -> bool:
        """Tell whether the janitor is at work."""
        return self._janitor.is_running

    def start(self) -> None:
        """Start the janitor."""
        self._janitor.start()

    async def stop(self) -> None:
        """Stop the janitor."""
        await self._janitor.stop()

    async def add_funds(self, order: Order, *, key: str, fingerprint: bytes) -> Begun:
        """Begin a payment, or return the one that this key began.

        Args:
            key: The caller's idempotency key; with the user it decides the payment's id.
            fingerprint: 32 bytes, SHA-256 of the request.

        Invariants:
            The intent is durable before the gateway hears of it. Every call
            under one key returns the same id, checkout and creation time.

        Raises:
            ReturnUrlInvalid: It is no absolute http or https address.
            GatewayUnknown: No gateway of that name is set up.
            IdempotencyKeyReused: The key began a payment by another request.
            GatewayRefused: The gateway does not want it. Nothing was and will be paid.
            GatewayUnclear: The gateway has not answered; the same key finds out.
            StorageUnavailable: Our database is away; the same key finds out.
        """
        if order.return_url is not None and origin_of(order.return_url) is None:
            detail = "It is an absolute http or https address."
            field = FieldError("/return_url", ReturnUrlInvalid.code, detail)
            raise ReturnUrlInvalid(detail, fields=(field,))
        wanted = self._intent(order, key=key, fingerprint=fingerprint)
        payment, is_replayed = await self._record(wanted)
        if payment.fingerprint != wanted.fingerprint:
            raise IdempotencyKeyReused
        return Begun(await self.checker.ensure_checkout(payment), is_replayed)

    async def payment(self, payment_id: str, *, user_id: UserId) -> Payment:
        """Return one of a user's payments.

        Raises:
            NotFound: There is none, or it is another's.
        """
        decode_id("payment", payment_id)
        found = await self._payments.get(payment_id)
        if found is None or found.user_id != user_id:
            raise NotFound
        return found

    def _intent(self, order: Order, *, key: str, fingerprint: bytes) -> Payment:
        now = self._clock()
        payment_id = PaymentId(encode_id("payment", derived_uuid("payment", order.user_id, key)))
        return Payment(
            id=payment_id,
            user_id=order.user_id,
            wallet_id=order.wallet_id,
            amount_minor=order.money.amount_minor,
            currency=order.money.currency.code,
            gateway=self._gateways.pick(order.gateway).name,
            return_url=order.return_url,
            fingerprint=fingerprint.hex(),
            status=PaymentStatus.PENDING,
            next_check_at=self._schedule.next_after(now, created_at=now),
            created_at=now,
            updated_at=now,
        )

    async def _record(self, wanted: Payment) -> tuple[Payment, bool]:
        """Store the intent unless it is stored; tell whether it was."""
        found = await self._payments.get(wanted.id)
        if found is None:
            try:
                await self._payments.insert(wanted)
            except DuplicateDocument:
                # The same request is running elsewhere; both go on with one intent.
                found = await self._payments.get(wanted.id)
        return found or wanted, found is not None
