"""Moves payouts forward: sends what is requested, fetches what is sent, settles what has ended.

Everything that may have news of a payout comes here, in any order, any number of times, at once,
and after any crash. What is unknown stays unknown until the gateway says it.
"""

from datetime import datetime, timedelta
from functools import partial

import structlog
from msgspec.structs import replace

from guilder.gateways.base import Gateway, GatewayPayout, Gateways
from guilder.gateways.errors import GatewayRefused
from guilder.gateways.schedule import CheckSchedule
from guilder.gateways.watch import Watch
from guilder.kernel.clock import Clock
from guilder.kernel.ids import encode_id
from guilder.ledger.journal import Journal
from guilder.ledger.models import Verdict
from guilder.payouts.models import Payout
from guilder.payouts.posting import PAID, clearing_account, settlement_of
from guilder.payouts.rules import Expected, PayoutStatus, Step, decide
from guilder.storage.base import Storage

RESEND_WITHIN = timedelta(hours=23)
"""Gateways keep idempotency keys for at least 24 hours. Sending again after that could pay twice.
"""

_IN_THE_BOOKS = (Verdict.CREATED, Verdict.EXISTS, Verdict.EXISTS_DIFFERENT)
_log = structlog.get_logger(__name__)


class PayoutWorker:
    """What moves payouts forward."""

    def __init__(
        self,
        storage: Storage,
        journal: Journal,
        gateways: Gateways,
        *,
        clock: Clock,
        schedule: CheckSchedule,
    ) -> None:
        self._watch = Watch(storage.documents(Payout), clock=clock, schedule=schedule)
        self._journal = journal
        self._gateways = gateways
        self._clock = clock

    async def check_reference(self, gateway_name: str, reference: str) -> bool:
        """Fetch a gateway's payout and record what follows; tell whether it is one of ours.

        Raises:
            GatewayUnclear: The gateway has not answered. Nothing is known, nothing changed.
            GatewayRefused: The gateway has no such payout.
            Unavailable: Our database is away. Checking again is safe.
        """
        gateway = self._gateways.pick(gateway_name)
        found = await gateway.fetch_payout(reference)
        payout = await self._watch.ours(found.our_reference, gateway=gateway_name)
        if payout is None:
            return False
        await self._apply(payout, found, gateway)
        return True

    async def work_due(self) -> bool:
        """Send or fetch payouts that are due; tell whether there may be more."""
        return await self._watch.work_due(self._ask, taken=_taken)

    async def _ask(self, payout: Payout) -> None:
        """Send the payout if its reference is not known, else fetch it."""
        gateway = self._gateways.pick(payout.gateway)
        if payout.reference is not None:
            await self._apply(payout, await gateway.fetch_payout(payout.reference), gateway)
            return
        now = self._clock()
        if now - (payout.first_sent_at or now) >= RESEND_WITHIN:
            await self._watch.change(payout, partial(_alarmed, reason="unclear_too_long"))
            return
        try:
            found = await gateway.create_payout(
                payout.id,
                money=payout.money,
                our_reference=payout.id,
                destination=payout.destination,
            )
        except GatewayRefused as error:
            # Definite: nothing was sent and nothing will be.
            await self._settle(payout, is_paid=False, reason=error.failure_code, reference=None)
            return
        await self._apply(payout, found, gateway)

    async def _apply(self, payout: Payout, found: GatewayPayout, gateway: Gateway) -> None:
        """Do what follows from a fetch."""
        decision = decide(_expected(payout, gateway), found)
        match decision.step:
            case Step.NOTHING:
                return
            case Step.CONTRADICTION:
                _log.error("payout_contradicted", payout=payout.id, said=found.status)
            case Step.ALARM:
                await self._watch.change(payout, partial(_alarmed, reason=decision.reason or ""))
            case Step.NOTE_SENT:
                await self._watch.change(payout, partial(_sent, reference=found.reference))
            case Step.SETTLE_PAID | Step.SETTLE_RETURNED:
                await self._settle(
                    payout,
                    is_paid=decision.step is Step.SETTLE_PAID,
                    reason=decision.reason,
                    reference=found.reference,
                )

    async def _settle(
        self, payout: Payout, *, is_paid: bool, reason: str | None, reference: str | None
    ) -> None:
        """Post the end, and write down the end that the journal has: the first one posted."""
        clearing = clearing_account(payout.gateway, payout.currency, now=payout.created_at)
        await self._journal.open_accounts([clearing])
        outcome = await self._journal.post(settlement_of(payout, is_paid=is_paid))
        if outcome.verdict not in _IN_THE_BOOKS or outcome.transfer is None:
            await self._watch.change(payout, partial(_alarmed, reason=str(outcome.verdict)))
            return
        was_paid = outcome.transfer.code == PAID
        if was_paid is not is_paid:
            _log.error(
                "payout_contradicted", payout=payout.id, said="paid" if is_paid else "failed"
            )
        change = partial(
            _settled,
            is_paid=was_paid,
            reason=reason if was_paid is is_paid else None,
            reference=reference,
            settlement_id=encode_id("transfer", outcome.transfer.id),
        )
        await self._watch.change(payout, change)


def _expected(payout: Payout, gateway: Gateway) -> Expected:
    return Expected(
        our_reference=payout.id,
        reference=payout.reference,
        money=payout.money,
        is_live=gateway.is_live,
        status=payout.status,
        is_alarmed=payout.alarm is not None,
    )


def _taken(payout: Payout, now: datetime) -> Payout:
    """Note the sending before it happens."""
    return replace(payout, first_sent_at=payout.first_sent_at or now)


def _sent(payout: Payout, *, reference: str) -> Payout:
    """Note that the gateway has it, unless it has moved on."""
    if payout.status is not PayoutStatus.REQUESTED or payout.alarm is not None:
        return payout
    return replace(payout, status=PayoutStatus.SENT, reference=reference)


def _settled(
    payout: Payout,
    *,
    is_paid: bool,
    reason: str | None,
    reference: str | None,
    settlement_id: str,
) -> Payout:
    """Note the end that the journal has, unless it is noted."""
    if payout.settlement_id is not None:
        return payout
    return replace(
        payout,
        status=PayoutStatus.PAID if is_paid else PayoutStatus.FAILED,
        reference=payout.reference or reference,
        failure_code=None if is_paid else reason or "failed",
        settlement_id=settlement_id,
        is_watched=False,
    )


def _alarmed(payout: Payout, *, reason: str) -> Payout:
    """Note what cannot be, and stop; unless it has ended properly."""
    if payout.alarm is not None or payout.settlement_id is not None:
        return payout
    _log.error("payout_alarmed", payout=payout.id, reason=reason)
    return replace(payout, alarm=reason, is_watched=False)
