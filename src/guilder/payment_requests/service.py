"""Asking for money, paying what is asked for, and every way not to."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from msgspec import Struct

from guilder.identity.authentication import Principal
from guilder.identity.service import IdentityService
from guilder.kernel.clock import Clock
from guilder.kernel.currency import currency
from guilder.kernel.errors import NotFound, check
from guilder.kernel.ids import WalletId, decode_id, derived_uuid, encode_id
from guilder.ledger.background import BackgroundTask
from guilder.ledger.errors import IdempotencyKeyReused, SameAccount
from guilder.ledger.journal import Journal
from guilder.ledger.marks import place
from guilder.ledger.models import TransferRequest, Verdict
from guilder.payment_requests.models import PaymentRequest
from guilder.payment_requests.posting import deciding_id, payment_of, settled, withdrawal_of
from guilder.payment_requests.rules import PaymentRequestStatus, Role, ended, expiry
from guilder.storage.base import Range, Storage
from guilder.storage.errors import DuplicateDocument, VersionConflict
from guilder.storage.records import Transfer
from guilder.wallets.limits import NO_LIMITS, LimitSource, refused
from guilder.wallets.recipients import Recipient
from guilder.wallets.service import WalletService

PREFIX = "payment_request"
_AT_ONCE = 100
_INSTANT = timedelta(milliseconds=1)
"""The finest unit of stored times: what expires now is below now and this."""
_log = structlog.get_logger(__name__)


class Wanted(Struct, frozen=True, kw_only=True):
    """What somebody asks for.

    Args:
        payer: Who is asked; None: whoever gets to know of it.
        expires_at: None for 30 days from now.
        key: Idempotency key of the payee; it decides the request's id.
        fingerprint: 32 bytes of the whole request.
    """

    amount_minor: int
    currency: str
    payer: Recipient | None
    description: str
    expires_at: datetime | None
    key: str
    fingerprint: bytes


class Created(Struct, frozen=True):
    """A request as it was made, now or by an earlier request under the same key."""

    request: PaymentRequest
    is_replayed: bool


class Paid(Struct, frozen=True):
    """A request that this payer has paid, and how it stands in the journal."""

    request: PaymentRequest
    transfer: Transfer
    is_replayed: bool


class PaymentRequestService:
    """Requests for money. The sweep runs between `start` and `stop`.

    Invariants:
        A request is paid at most once, and never after it was declined, cancelled or expired.
        What is read here agrees with the journal at once, whatever crashed in between.
    """

    def __init__(
        self,
        storage: Storage,
        journal: Journal,
        *,
        wallets: WalletService,
        identity: IdentityService,
        clock: Clock,
        base_url: str,
        limits: LimitSource = NO_LIMITS,
        every_ms: int = 5_000,
    ) -> None:
        """Take what requests need.

        Args:
            storage: Migrated with `PaymentRequest`.
            base_url: Where people reach this server, without a slash at its end.
            limits: What a payment must stay within.
            every_ms: How often the sweep looks for what has expired.
        """
        self._requests = storage.documents(PaymentRequest)
        self._journal = journal
        self._wallets = wallets
        self._identity = identity
        self._clock = clock
        self._base_url = base_url
        self._limits = limits
        self._sweep = BackgroundTask("payment-request-sweep", self.expire_due, every_ms=every_ms)

    def start(self) -> None:
        """Start the sweep."""
        self._sweep.start()

    async def stop(self) -> None:
        """Stop the sweep."""
        await self._sweep.stop()

    def link(self, request: PaymentRequest) -> str:
        """Return the address of the page that shows a request, if it is open."""
        return f"{self._base_url}/pay/{request.id}"

    async def create(self, payee: Principal, wanted: Wanted) -> Created:
        """Ask for money, or return what this key has asked for.

        Raises:
            UnknownCurrency: No such currency.
            InvalidRequest: It would expire too early or too late.
            RecipientNotFound: Whoever is asked has no wallet.
            SameAccount: Somebody asks himself.
            IdempotencyKeyReused: The key has asked for something else.
        """
        currency(wanted.currency)
        request_id = encode_id(PREFIX, derived_uuid(PREFIX, payee.user_id, wanted.key))
        found = await self._requests.get(request_id)
        if found is None:
            fresh = await self._fresh(request_id, payee, wanted)
            try:
                await self._requests.insert(fresh)
            except DuplicateDocument:
                # The same request is running elsewhere.
                found = await self._requests.get(request_id)
            else:
                return Created(fresh, is_replayed=False)
        check(found is not None, "a payment request is never deleted")
        if found is None or found.fingerprint != wanted.fingerprint.hex():
            raise IdempotencyKeyReused
        return Created(found, is_replayed=True)

    async def request(self, request_id: str, viewer: Principal) -> PaymentRequest:
        """Return a request that concerns somebody: his own, one he is asked, an open one.

        Raises:
            NotFound: There is none, or it is others'.
        """
        return (await self._current([await self._load(request_id, viewer)]))[0]

    async def open_request(self, request_id: str) -> PaymentRequest:
        """Return an open request to whoever knows its id, signed in or not.

        Raises:
            NotFound: There is none, or it names who is asked.
        """
        request = await self._stored(request_id)
        if not request.is_open:
            raise NotFound
        return (await self._current([request]))[0]

    async def page(
        self, viewer: Principal, role: Role, *, after: tuple[datetime, str] | None, limit: int
    ) -> list[PaymentRequest]:
        """Return the requests in which somebody has a role, newest first."""
        found = await self._requests.page(
            {f"{role}_wallet_id": viewer.wallet_id},
            within=Range(field="created_at"),
            after=after,
            descending=True,
            limit=limit,
        )
        return await self._current(found)

    async def pay(self, payer: Principal, request_id: str, *, key: str) -> Paid:
        """Pay a request from the payer's wallet, or return the payment that this key has made.

        Raises:
            NotFound: There is no such request, or somebody else is asked.
            SameAccount: It is the payer's own.
            PaymentRequestEnded, PaymentRequestExpired: It is not pending any more.
            InsufficientFunds, AccountFrozen, AccountClosed, BalanceOverflow, LimitExceeded: The
                ledger refuses. The request stays pending.
            Unavailable: The outcome is unknown; ask again under the same key.
        """
        request = await self._load(request_id, payer)
        if request.payee_wallet_id == payer.wallet_id:
            raise SameAccount
        current = await self._limits.current(payer.wallet_id)
        limits = current.of(payer.wallet_id, request.currency, payer.limits)
        payment = payment_of(request, payer=payer.wallet_id, key=key, limits=limits)
        decided, is_replayed = await self._decide(request, payment)
        request = await self._note(request, decided)
        if decided.fingerprint != payment.fingerprint:
            raise ended(request.status)
        return Paid(request, decided, is_replayed)

    async def decline(self, payer: Principal, request_id: str) -> PaymentRequest:
        """Refuse to pay a request that names the payer. Doing it twice does it once.

        Raises:
            NotFound: There is no such request, or somebody else is asked.
            PaymentRequestEnded, PaymentRequestExpired: It is not pending any more.
        """
        request = await self._load(request_id, payer)
        if request.is_open or request.payer_wallet_id != payer.wallet_id:
            raise NotFound
        return await self._end(request, PaymentRequestStatus.DECLINED)

    async def cancel(self, payee: Principal, request_id: str) -> PaymentRequest:
        """Take a request back. Doing it twice does it once.

        Raises:
            NotFound: There is no such request, or somebody else made it.
            PaymentRequestEnded, PaymentRequestExpired: It is not pending any more.
        """
        request = await self._load(request_id, payee)
        if request.payee_wallet_id != payee.wallet_id:
            raise NotFound
        return await self._end(request, PaymentRequestStatus.CANCELLED)

    async def expire_due(self) -> bool:
        """End what has expired, and write down what a crash left unwritten; tell of more."""
        due = await self._requests.page(
            {"status": PaymentRequestStatus.PENDING},
            within=Range(field="expires_at", below=self._clock() + _INSTANT),
            limit=_AT_ONCE,
        )
        results = await asyncio.gather(
            *(self._withdraw(request, PaymentRequestStatus.EXPIRED) for request in due),
            return_exceptions=True,
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            _log.warning("payment_requests_not_expired", count=len(failures), error=failures[0])
        return len(due) == _AT_ONCE and not failures

    async def _fresh(self, request_id: str, payee: Principal, wanted: Wanted) -> PaymentRequest:
        now = self._clock()
        expires_at = expiry(wanted.expires_at, now=now)
        payer = None if wanted.payer is None else await self._wallets.find(wanted.payer)
        if payer == payee.wallet_id:
            raise SameAccount
        names = await self._identity.names_of([payee.user_id])
        return PaymentRequest(
            id=request_id,
            payee_wallet_id=payee.wallet_id,
            payee_name=names.get(payee.user_id, ""),
            payer_wallet_id=payer,
            is_open=payer is None,
            amount_minor=wanted.amount_minor,
            currency=wanted.currency,
            description=wanted.description,
            expires_at=expires_at,
            fingerprint=wanted.fingerprint.hex(),
            created_at=now,
            updated_at=now,
        )

    async def _load(self, request_id: str, viewer: Principal) -> PaymentRequest:
        request = await self._stored(request_id)
        if not request.is_open and viewer.wallet_id not in _parties(request):
            raise NotFound
        return request

    async def _stored(self, request_id: str) -> PaymentRequest:
        decode_id(PREFIX, request_id)
        request = await self._requests.get(request_id)
        if request is None:
            raise NotFound
        return request

    async def _current(self, requests: Sequence[PaymentRequest]) -> list[PaymentRequest]:
        """Return requests as the journal has them: what is stored may be behind after a crash."""
        pending = [each for each in requests if each.status is PaymentRequestStatus.PENDING]
        if not pending:
            return list(requests)
        decided = await self._journal.book.transfers([deciding_id(each) for each in pending])
        return [
            settled(each, decided[deciding_id(each)]) if deciding_id(each) in decided else each
            for each in requests
        ]

    async def _decide(
        self, request: PaymentRequest, payment: TransferRequest
    ) -> tuple[Transfer, bool]:
        """Return what has the request's deciding id after an attempt to pay, and if it was there.

        A request whose time is over is ended, not paid: also when the sweep has not come yet.
        """
        known = (await self._journal.book.transfers([payment.id])).get(payment.id)
        if known is not None:
            return known, True
        if request.expires_at <= self._clock():
            return await self._place(request, PaymentRequestStatus.EXPIRED), True
        parties = [WalletId(payment.metadata[side]) for side in ("from", "to")]
        outcome = await self._wallets.post(payment, parties)
        if outcome.transfer is None:
            raise refused(outcome, now=self._clock())
        return outcome.transfer, outcome.verdict is not Verdict.CREATED

    async def _end(self, request: PaymentRequest, status: PaymentRequestStatus) -> PaymentRequest:
        if request.status is PaymentRequestStatus.PENDING:
            request = await self._withdraw(request, status)
        if request.status is not status:
            raise ended(request.status)
        return request

    async def _withdraw(
        self, request: PaymentRequest, status: PaymentRequestStatus
    ) -> PaymentRequest:
        """End a request, unless it was ended otherwise; return it as it is."""
        return await self._note(request, await self._place(request, status))

    async def _place(self, request: PaymentRequest, status: PaymentRequestStatus) -> Transfer:
        return await place(self._journal, withdrawal_of(request, status), now=self._clock())

    async def _note(self, request: PaymentRequest, decided: Transfer) -> PaymentRequest:
        """Write down what the journal has decided."""
        if request.status is not PaymentRequestStatus.PENDING:
            return request
        after = settled(request, decided)
        # Whoever wrote in the meantime wrote the same: there is only one decision.
        with suppress(VersionConflict):
            return await self._requests.replace(after)
        return after


def _parties(request: PaymentRequest) -> tuple[WalletId | None, ...]:
    return request.payee_wallet_id, request.payer_wallet_id
