"""What the simulated payment company does: checkouts, payouts, and the webhooks that follow from
them.

Every change and its webhooks are one document transaction, so a restart loses neither.
"""

from collections.abc import Callable
from datetime import timedelta

import msgspec

from guilder.gateways.simulator.config import SimulatorConfig
from guilder.gateways.simulator.faults import deliveries_of
from guilder.gateways.simulator.models import (
    Delivery,
    FaultScript,
    SimulatedPayment,
    SimulatedPayout,
    SimulatedState,
)
from guilder.gateways.simulator.refusal import Refused
from guilder.kernel.clock import Clock
from guilder.kernel.ids import derived_uuid, encode_id
from guilder.storage.base import Range, Storage, Transaction
from guilder.storage.errors import DuplicateDocument, VersionConflict

_PAID_TOKEN, _FAILED_TOKEN, _SLOW_TOKEN = "bank_ok", "bank_fail", "bank_slow"
_TOKENS = (_PAID_TOKEN, _FAILED_TOKEN, _SLOW_TOKEN)
_FOR_EVER = timedelta(days=36_500)
_AT_ONCE = 20


class Simulator:
    """The company.

    Args:
        on_delivery: Called after webhooks were put into the outbox.
    """

    def __init__(
        self,
        storage: Storage,
        config: SimulatorConfig,
        *,
        clock: Clock,
        on_delivery: Callable[[], None],
    ) -> None:
        self._storage = storage
        self._config = config
        self._clock = clock
        self._on_delivery = on_delivery

    async def create_payment(
        self,
        key: str,
        *,
        amount_minor: int,
        currency: str,
        our_reference: str,
        return_url: str | None,
    ) -> SimulatedPayment:
        """Open a checkout; the same key returns the same one.

        Raises:
            Refused: The key was used for other parameters.
        """
        now = self._clock()
        wanted = SimulatedPayment(
            id=encode_id("simpay", derived_uuid("simulated-payment", key)),
            amount_minor=amount_minor,
            currency=currency,
            our_reference=our_reference,
            return_url=return_url,
            state=SimulatedState.OPEN,
            created_at=now,
            updated_at=now,
        )
        script = await self.script(our_reference)
        try:
            async with self._storage.transaction() as transaction:
                await transaction.documents(SimulatedPayment).insert(wanted)
                await _enqueue(transaction, deliveries_of(wanted, script, now=now))
        except DuplicateDocument:
            known = await self.payment(wanted.id)
            if (known.amount_minor, known.currency, known.our_reference, known.return_url) != (
                amount_minor,
                currency,
                our_reference,
                return_url,
            ):
                raise Refused(422, "idempotency_key_reused") from None
            return known
        self._on_delivery()
        return wanted

    async def payment(self, payment_id: str) -> SimulatedPayment:
        """Return a payment.

        Raises:
            Refused: There is none.
        """
        found = await self._storage.documents(SimulatedPayment).get(payment_id)
        if found is None:
            raise Refused(404, "not_found")
        return found

    async def end_payment(self, payment_id: str, state: SimulatedState) -> SimulatedPayment:
        """End an open checkout; one that has ended stays as it is. Return it as it stands."""
        payment = await self.payment(payment_id)
        if payment.state is not SimulatedState.OPEN:
            return payment
        now = self._clock()
        ended = msgspec.structs.replace(payment, state=state, updated_at=now)
        script = await self.script(payment.our_reference)
        try:
            async with self._storage.transaction() as transaction:
                ended = await transaction.documents(SimulatedPayment).replace(ended)
                await _enqueue(transaction, deliveries_of(ended, script, now=now))
        except VersionConflict:
            # Two buttons at once: the first one counts.
            return await self.payment(payment_id)
        self._on_delivery()
        return ended

    async def create_payout(
        self,
        key: str,
        *,
        amount_minor: int,
        currency: str,
        our_reference: str,
        destination_token: str,
    ) -> SimulatedPayout:
        """Send money out; the same key returns the same payout.

        Raises:
            Refused: The destination is unknown, or the key was used for other parameters.
        """
        if destination_token not in _TOKENS:
            raise Refused(422, "destination_unknown")
        now = self._clock()
        slow = destination_token == _SLOW_TOKEN
        takes = timedelta(milliseconds=self._config.payout_settles_after_ms)
        wanted = SimulatedPayout(
            id=encode_id("simout", derived_uuid("simulated-payout", key)),
            amount_minor=amount_minor,
            currency=currency,
            our_reference=our_reference,
            destination_token=destination_token,
            state=SimulatedState.SENT,
            settles_at=now + (_FOR_EVER if slow else takes),
            created_at=now,
            updated_at=now,
        )
        try:
            await self._storage.documents(SimulatedPayout).insert(wanted)
        except DuplicateDocument:
            known = await self._payout(wanted.id)
            if (known.amount_minor, known.currency, known.destination_token) != (
                amount_minor,
                currency,
                destination_token,
            ):
                raise Refused(422, "idempotency_key_reused") from None
            return known
        self._on_delivery()
        return wanted

    async def fetch_payout(self, payout_id: str) -> SimulatedPayout:
        """Return a payout. Looking at a slow one, or at one whose time has come, settles it.

        Raises:
            Refused: There is none.
        """
        payout = await self._payout(payout_id)
        is_due = payout.settles_at <= self._clock() or payout.destination_token == _SLOW_TOKEN
        return await self._settle(payout) if is_due else payout

    async def settle_due_payouts(self) -> bool:
        """Settle payouts whose time has come; tell whether there may be more."""
        due = await self._storage.documents(SimulatedPayout).page(
            {"state": SimulatedState.SENT},
            within=Range(field="settles_at", below=self._clock()),
            limit=_AT_ONCE,
        )
        for payout in due:
            await self._settle(payout)
        return len(due) == _AT_ONCE

    async def script(self, our_reference: str) -> FaultScript:
        """Return what shall go wrong around an object; by default nothing."""
        now = self._clock()
        found = await self._storage.documents(FaultScript).get(our_reference)
        return found or FaultScript(id=our_reference, created_at=now, updated_at=now)

    async def write_script(self, script: FaultScript) -> None:
        """Replace what shall go wrong around an object."""
        scripts = self._storage.documents(FaultScript)
        await scripts.delete(script.id)
        await scripts.insert(script)

    async def _payout(self, payout_id: str) -> SimulatedPayout:
        found = await self._storage.documents(SimulatedPayout).get(payout_id)
        if found is None:
            raise Refused(404, "not_found")
        return found

    async def _settle(self, payout: SimulatedPayout) -> SimulatedPayout:
        if payout.state is not SimulatedState.SENT:
            return payout
        now = self._clock()
        fails = payout.destination_token == _FAILED_TOKEN
        state = SimulatedState.FAILED if fails else SimulatedState.PAID
        settled = msgspec.structs.replace(payout, state=state, updated_at=now)
        script = await self.script(payout.our_reference)
        try:
            async with self._storage.transaction() as transaction:
                settled = await transaction.documents(SimulatedPayout).replace(settled)
                await _enqueue(transaction, deliveries_of(settled, script, now=now))
        except VersionConflict:
            return await self._payout(payout.id)
        self._on_delivery()
        return settled


async def _enqueue(transaction: Transaction, deliveries: list[Delivery]) -> None:
    for delivery in deliveries:
        await transaction.documents(Delivery).insert(delivery)
