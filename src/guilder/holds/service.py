"""Making, capturing and releasing holds, and the sweep that releases those whose time is over."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from guilder.holds.errors import HoldNotExpired
from guilder.holds.rules import (
    CAPTURED,
    CODE,
    EXPIRED,
    LASTS,
    LASTS_AT_MOST,
    RELEASED,
    HoldStatus,
    is_over,
    status_of,
)
from guilder.identity.authentication import Principal
from guilder.identity.service import IdentityService
from guilder.kernel.clock import Clock
from guilder.kernel.currency import currency
from guilder.kernel.errors import FieldError, InvalidRequest, NotFound
from guilder.kernel.ids import WalletId, decode_id, derived_uuid, encode_id
from guilder.ledger.background import BackgroundTask
from guilder.ledger.errors import HoldExpired
from guilder.ledger.journal import Journal
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from guilder.storage.records import Hold, Transfer, TransferKind
from guilder.wallets.accounts import wallet_account_id
from guilder.wallets.errors import RecipientNotFound
from guilder.wallets.limits import NO_LIMITS, LimitSource, SpendingLimits, refused
from guilder.wallets.recipients import Recipient, find_recipient
from guilder.wallets.service import WalletService

HOLD_PREFIX = "hold"
SWEPT_AT_ONCE = 500
_RACES_MAX = 16
_Ask = Callable[[TransferRequest, Sequence[WalletId]], Awaitable[Outcome]]


class HoldOrder(Struct, frozen=True, kw_only=True):
    """What somebody asks to set aside. No time: `LASTS` from now."""

    amount_minor: int
    currency: str
    recipient: Recipient
    description: str
    expires_at: datetime | None
    key: str
    fingerprint: bytes


class Capture(Struct, frozen=True, kw_only=True):
    """What a recipient takes of a hold. No amount: what is left. `keeps_rest` reserves the rest."""

    hold_id: str
    amount_minor: int | None
    keeps_rest: bool
    key: str
    fingerprint: bytes


class Done(Struct, frozen=True, kw_only=True):
    """A transfer of a hold in the journal, and the other side; `is_replayed` if it was there."""

    transfer: Transfer
    is_replayed: bool
    counterparty: WalletId


class HoldView(Struct, frozen=True, kw_only=True):
    """A hold as it stands, for one of its two sides.

    Args:
        made: The transfer that made it.
    """

    made: Transfer
    hold: Hold
    status: HoldStatus
    payer: WalletId
    payee: WalletId


class HoldService:
    """Holds. The sweep runs between `start` and `stop`.

    Args:
        every_ms: Milliseconds between two sweeps.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        wallets: WalletService,
        identity: IdentityService,
        clock: Clock,
        limits: LimitSource = NO_LIMITS,
        every_ms: int = 5_000,
    ) -> None:
        self._journal = journal
        self._wallets = wallets
        self._identity = identity
        self._clock = clock
        self._limits = limits
        self._task = BackgroundTask("holds", self.sweep, every_ms=every_ms)

    def start(self) -> None:
        """Start the sweep."""
        self._task.start()

    async def stop(self) -> None:
        """Stop the sweep."""
        await self._task.stop()

    async def hold(self, payer: Principal, order: HoldOrder) -> Done:
        """Set money aside for somebody.

        Raises:
            UnknownCurrency: No such currency.
            InvalidRequest: It would have expired already, or last too long.
            RecipientNotFound: Nobody has that address, or there is no such wallet.
            GuilderError: The ledger refuses.
        """
        return await self._hold(payer, order, self._wallets.post)

    async def preview(self, payer: Principal, order: HoldOrder) -> Done:
        """Return what `hold` would come to now, and change nothing: not even an account is opened.

        Raises:
            GuilderError: What `hold` would raise.
        """
        return await self._hold(payer, order, self._wallets.preview)

    async def _hold(self, payer: Principal, order: HoldOrder, ask: _Ask) -> Done:
        currency(order.currency)
        hold_id = hold_id_of(payer, order.key)
        known = (await self._journal.book.transfers([hold_id])).get(hold_id)
        if known is not None and known.fingerprint == order.fingerprint:
            # Its time may be over by now, and the recipient may have moved on.
            payee = WalletId(known.metadata["to"])
            return Done(transfer=known, is_replayed=True, counterparty=payee)
        to = await find_recipient(self._identity, order.recipient)
        limits = await self._limits.current(payer.wallet_id)
        request = self._request(payer, order, hold_id=hold_id, to=to, limits=limits)
        return self._done(await ask(request, (payer.wallet_id, to)), counterparty=to)

    async def show(self, viewer: Principal, hold_id: str) -> HoldView:
        """Return a hold of which the viewer is payer or payee.

        Raises:
            NotFound: There is none, or it is others'.
        """
        book = self._journal.book
        uuid, release_id = decode_id(HOLD_PREFIX, hold_id), _release_id(hold_id)
        # The hold first: a release that is in the journal by then is then seen too.
        hold = (await book.holds([uuid])).get(uuid)
        found = await book.transfers([uuid, release_id])
        made = found.get(uuid)
        if hold is None or made is None:
            raise NotFound
        accounts = await book.accounts([hold.debit_account_id, hold.credit_account_id])
        payer = WalletId(accounts[hold.debit_account_id].owner)
        payee = WalletId(accounts[hold.credit_account_id].owner)
        if viewer.wallet_id not in (payer, payee):
            raise NotFound
        return HoldView(
            made=made,
            hold=hold,
            status=status_of(hold, found.get(release_id), now=self._clock()),
            payer=payer,
            payee=payee,
        )

    async def capture(self, payee: Principal, capture: Capture) -> Done:
        """Take what is held, in part or whole.

        Invariants:
            All captures of a hold together are never more than it was.

        Raises:
            NotFound: There is no such hold for this payee.
            HoldExpired, HoldSettled, CaptureExceedsHold: The ledger refuses.
        """
        return await self._capture(payee, capture, self._journal.post)

    async def preview_capture(self, payee: Principal, capture: Capture) -> Done:
        """Return what `capture` would come to now, and change nothing.

        Raises:
            GuilderError: What `capture` would raise.
        """
        return await self._capture(payee, capture, self._wallets.preview)

    async def _capture(
        self,
        payee: Principal,
        capture: Capture,
        ask: Callable[[TransferRequest], Awaitable[Outcome]],
    ) -> Done:
        for _ in range(_RACES_MAX):
            view = await self.show(payee, capture.hold_id)
            if payee.wallet_id != view.payee:
                raise NotFound
            outcome = await ask(_capture_request(payee, capture, view.hold))
            # Somebody took a part of "what is left" while we looked.
            is_raced = outcome.verdict is Verdict.CAPTURE_EXCEEDS_HOLD
            if capture.amount_minor is not None or not is_raced:
                break
        if outcome.verdict is Verdict.HOLD_SETTLED and view.status is HoldStatus.EXPIRED:
            raise HoldExpired
        return self._done(outcome, counterparty=view.payer)

    async def release(self, asker: Principal, hold_id: str) -> Done:
        """Give back what is left of a hold: by the payee, or by the payer once it has expired.

        Raises:
            NotFound: There is no such hold.
            HoldNotExpired: The payer asks too early.
            HoldSettled: It was captured.
        """
        view = await self.show(asker, hold_id)
        is_payee = asker.wallet_id == view.payee
        has_expired = is_over(view.hold, now=await self._database_now())
        if view.hold.remaining_minor and not is_payee and not has_expired:
            raise HoldNotExpired
        code = EXPIRED if has_expired else RELEASED
        outcome = await self._journal.post(_release_request(view.hold, hold_id, code=code))
        return self._done(outcome, counterparty=view.payer if is_payee else view.payee)

    async def sweep(self) -> bool:
        """Release holds whose time is over; tell whether there may be more."""
        found = await self._journal.book.holds_expired(self._clock(), SWEPT_AT_ONCE)
        now = await self._database_now() if found else self._clock()
        over = [hold for hold in found if is_over(hold, now=now)]
        if not over:
            return False
        outcomes = await self._journal.post_all(
            [_release_request(hold, _typeid(hold.id), code=EXPIRED) for hold in over]
        )
        # Another process may be faster: what is already released counts as done too.
        done = sum(each.transfer is not None for each in outcomes)
        return len(over) == SWEPT_AT_ONCE and done == len(over)

    async def _database_now(self) -> datetime:
        """Return the time that the books go by: the clock of this process may be wrong."""
        async with self._journal.book.batch() as batch:
            return batch.now

    def _request(
        self,
        payer: Principal,
        order: HoldOrder,
        *,
        hold_id: UUID,
        to: WalletId,
        limits: SpendingLimits,
    ) -> TransferRequest:
        now = self._clock()
        expires_at = order.expires_at or now + LASTS
        if not now < expires_at <= now + LASTS_AT_MOST:
            detail = f"Give a time within the next {LASTS_AT_MOST.days} days."
            raise InvalidRequest(fields=(FieldError("/expires_at", "out_of_range", detail),))
        metadata = {"to": str(to)}
        if order.description:
            metadata["description"] = order.description
        try:
            credit = wallet_account_id(to, order.currency)
        except NotFound:
            raise RecipientNotFound from None
        return TransferRequest(
            id=hold_id,
            kind=TransferKind.HOLD,
            debit_account_id=wallet_account_id(payer.wallet_id, order.currency),
            credit_account_id=credit,
            amount_minor=order.amount_minor,
            asset=order.currency,
            code=CODE,
            fingerprint=order.fingerprint,
            limits=limits.of(payer.wallet_id, order.currency, payer.limits),
            expires_at=expires_at,
            metadata=metadata,
        )

    def _done(self, outcome: Outcome, *, counterparty: WalletId) -> Done:
        if outcome.verdict in (Verdict.CREATED, Verdict.EXISTS) and outcome.transfer is not None:
            is_replayed = outcome.verdict is Verdict.EXISTS
            return Done(
                transfer=outcome.transfer, is_replayed=is_replayed, counterparty=counterparty
            )
        raise refused(outcome, now=self._clock())


def _typeid(uuid: UUID) -> str:
    return encode_id(HOLD_PREFIX, uuid)


def _release_id(hold_id: str) -> UUID:
    """Return the id of a hold's release: there is one at most, whoever asks for it."""
    return derived_uuid("hold-release", hold_id)


def _capture_request(payee: Principal, capture: Capture, hold: Hold) -> TransferRequest:
    # With nothing left the whole is asked for: a retry is known by its id, all else refused.
    left = hold.remaining_minor or hold.amount_minor
    return TransferRequest(
        id=derived_uuid("hold-capture", payee.user_id, capture.key),
        kind=TransferKind.PARTIAL_CAPTURE if capture.keeps_rest else TransferKind.CAPTURE,
        debit_account_id=hold.debit_account_id,
        credit_account_id=hold.credit_account_id,
        amount_minor=left if capture.amount_minor is None else capture.amount_minor,
        asset=hold.asset,
        code=CAPTURED,
        fingerprint=capture.fingerprint,
        hold_id=hold.id,
        metadata={"to": payee.wallet_id},
    )


def _release_request(hold: Hold, hold_id: str, *, code: str) -> TransferRequest:
    return TransferRequest(
        id=_release_id(hold_id),
        kind=TransferKind.RELEASE,
        debit_account_id=hold.debit_account_id,
        credit_account_id=hold.credit_account_id,
        amount_minor=0,
        asset=hold.asset,
        code=code,
        # One for all who may ask: nobody's release differs from another's.
        fingerprint=hashlib.sha256(f"release {hold_id}".encode()).digest(),
        hold_id=hold.id,
    )


def hold_id_of(payer: Principal, key: str) -> UUID:
    """Return the id that a payer's idempotency key stands for."""
    return derived_uuid("hold", payer.user_id, key)
