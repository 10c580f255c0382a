"""What a user does with payouts: ask for one, look at one. And the worker that runs beside it."""

from contextlib import suppress
from dataclasses import dataclass

from guilder.gateways.base import Destination, Gateways
from guilder.gateways.schedule import CheckSchedule
from guilder.kernel.clock import Clock
from guilder.kernel.errors import InvariantViolation, NotFound
from guilder.kernel.ids import UserId, WalletId, decode_id
from guilder.kernel.money import Money
from guilder.ledger.background import BackgroundTask
from guilder.ledger.errors import InsufficientFunds
from guilder.ledger.followers import Follower, Reaction
from guilder.ledger.journal import Journal
from guilder.ledger.limits import Limit
from guilder.ledger.models import Verdict
from guilder.payouts.models import Payout
from guilder.payouts.posting import Withdrawal, payout_of, request_of, transit_account
from guilder.payouts.worker import PayoutWorker
from guilder.storage.base import Storage
from guilder.storage.errors import DuplicateDocument, StorageUnavailable
from guilder.storage.records import Transfer
from guilder.wallets.limits import NO_LIMITS, LimitSource, refused

_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody wants to withdraw. `gateway` is None for the default one."""

    user_id: UserId
    wallet_id: WalletId
    money: Money
    gateway: str | None
    destination: Destination
    description: str
    budget: tuple[Limit, ...] = ()
    """What whoever asks may still spend: `Principal.limits`."""


@dataclass(frozen=True, slots=True)
class Requested:
    """The transfer that asked for a payout, now or by an earlier request under the same key."""

    transfer: Transfer
    is_replayed: bool


class PayoutService:
    """Money out. Worker and follower run between `start` and `stop`.

    Args:
        react: `payouts.followers.write_payouts`; handed in because followers stand above services.
        schedule: When payouts are fetched without being told to.
        every_ms: How often worker and follower look for what is due when nobody wakes them.
        limits: What may leave a wallet, withdrawals and transfers together.
    """

    def __init__(
        self,
        storage: Storage,
        journal: Journal,
        gateways: Gateways,
        *,
        clock: Clock,
        react: Reaction,
        schedule: CheckSchedule | None = None,
        every_ms: int = 5_000,
        limits: LimitSource = NO_LIMITS,
    ) -> None:
        self._limits = limits
        self._payouts = storage.documents(Payout)
        self._journal = journal
        self._gateways = gateways
        self._clock = clock
        self.worker = PayoutWorker(
            storage, journal, gateways, clock=clock, schedule=schedule or CheckSchedule()
        )
        self._task = BackgroundTask("payouts", self.work, every_ms=every_ms)
        self._follower = Follower(storage, journal.book, name="payouts", react=react, clock=clock)
        self._open: set[tuple[str, str]] = set()

    @property
    def is_running(self) -> bool:
        """Tell whether the worker is at work."""
        return self._task.is_running

    def start(self) -> None:
        """Start worker and follower."""
        self._task.start()

    async def stop(self) -> None:
        """Stop worker and follower."""
        await self._task.stop()

    async def work(self) -> bool:
        """Make payouts of new transfers, then move those that are due; tell whether there may be
        more.
        """
        has_more = await self._follower.follow()
        return await self.worker.work_due() or has_more

    async def withdraw(self, order: Order, *, key: str, fingerprint: bytes) -> Requested:
        """Take money out of a wallet and ask for its payout.

        Args:
            key: The caller's idempotency key; with the user it decides the transfer's id.
            fingerprint: 32 bytes, SHA-256 of the request.

        Invariants:
            One durable transfer is the whole intent. What is answered follows
            from it alone, so every call under one key has the same answer.

        Raises:
            GatewayUnknown: No gateway of that name is set up.
            InsufficientFunds: There is less available in that currency, or none at all.
            IdempotencyKeyReused: The key asked for something else.
            GuilderError: Another refusal of the ledger.
            Unavailable: Our database is away or full; the same key finds out.
        """
        withdrawal = Withdrawal(
            user_id=order.user_id,
            wallet_id=order.wallet_id,
            money=order.money,
            gateway=self._gateways.pick(order.gateway).name,
            destination=order.destination,
            description=order.description,
        )
        await self._open_transit(withdrawal.gateway, order.money.currency.code)
        limits = await self._limits.current(order.wallet_id)
        request = request_of(
            withdrawal,
            key=key,
            fingerprint=fingerprint,
            now=self._clock(),
            limits=limits.of(order.wallet_id, order.money.currency.code, order.budget),
        )
        outcome = await self._journal.post(request)
        if outcome.verdict is Verdict.ACCOUNT_NOT_FOUND:
            # A wallet's account is opened by its first credit: there is nothing in it yet.
            raise InsufficientFunds
        if outcome.verdict not in (Verdict.CREATED, Verdict.EXISTS):
            raise refused(outcome, now=self._clock())
        if outcome.transfer is None:
            raise InvariantViolation("a transfer in the journal comes with its verdict")
        await self._begin(payout_of(outcome.transfer), is_new=outcome.verdict is Verdict.CREATED)
        return Requested(outcome.transfer, outcome.verdict is Verdict.EXISTS)

    async def payout(self, payout_id: str, *, user_id: UserId) -> Payout:
        """Return one of a user's payouts.

        Raises:
            NotFound: There is none, or it is another's.
        """
        decode_id("payout", payout_id)
        found = await self._payouts.get(payout_id)
        if found is None or found.user_id != user_id:
            raise NotFound
        return found

    async def catch_up(self) -> None:
        """Write down the payouts of all transfers that are in the journal by now.

        Raises:
            StorageUnavailable: The database is away.
        """
        failures = 0
        while True:
            try:
                if not await self._follower.follow():
                    return
            except StorageUnavailable:
                # Also said to whoever meets somebody who writes the same at the same time.
                failures += 1
                if failures == _TRIES:
                    raise

    async def _begin(self, payout: Payout, *, is_new: bool) -> None:
        """Write the payout down at once. If that fails, the follower finds its transfer."""
        with suppress(DuplicateDocument, StorageUnavailable):
            if is_new or await self._payouts.get(payout.id) is None:
                await self._payouts.insert(payout)
                self._task.wake()

    async def _open_transit(self, gateway: str, asset: str) -> None:
        """Open the account of what is on its way, once in the life of this process."""
        if (gateway, asset) not in self._open:
            account = transit_account(gateway, asset, now=self._clock())
            await self._journal.open_accounts([account])
            self._open.add((gateway, asset))
