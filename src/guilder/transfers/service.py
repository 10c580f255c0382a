"""Sending money from one wallet to another, looking at it, and giving it back."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from guilder.identity.authentication import Principal
from guilder.identity.service import IdentityService
from guilder.kernel.clock import Clock, utc_now
from guilder.kernel.currency import currency
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import WalletId, decode_id, derived_uuid
from guilder.ledger.journal import Journal
from guilder.ledger.limits import reversal_counter_id
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from guilder.storage.records import Transfer
from guilder.transfers.rules import META, is_between_wallets
from guilder.wallets.accounts import wallet_account_id
from guilder.wallets.errors import RecipientNotFound
from guilder.wallets.limits import NO_LIMITS, LimitSource, SpendingLimits, budget_in, refused
from guilder.wallets.recipients import Recipient, find_recipient
from guilder.wallets.service import TRANSFER_PREFIX, WalletService

CODE = "transfer"
REVERSAL = "transfer_reversal"


class Instruction(Struct, frozen=True, kw_only=True):
    """What somebody asks to send.

    Args:
        amount_minor: 1 to 2^63-1 minor units of `currency`.
        currency: ISO 4217 code or declared asset.
        description: For both sides.
        key: Idempotency key of the sender; it becomes the transfer's id.
        fingerprint: 32 bytes of the whole request.
        effective_at: When it counts; when it is recorded, if nobody says otherwise.
        reference: For both sides, such as the number of an invoice.
        metadata: The sender's own notes.
    """

    amount_minor: int
    currency: str
    recipient: Recipient
    description: str
    key: str
    fingerprint: bytes
    effective_at: datetime | None = None
    reference: str = ""
    metadata: dict[str, str] = {}


class Reversal(Struct, frozen=True, kw_only=True):
    """What somebody gives back of a transfer that he received. No amount: what is left of it."""

    transaction_id: str
    amount_minor: int | None
    description: str
    key: str
    fingerprint: bytes


class Sent(Struct, frozen=True):
    """The transfer in the journal; `is_replayed` if it was there before."""

    transfer: Transfer
    is_replayed: bool


class Shown(Struct, frozen=True, kw_only=True):
    """A transfer as one of its two sides sees it, and how much of it was given back by now."""

    transfer: Transfer
    is_debit: bool
    counterparty: WalletId
    reversed_minor: int


class TransferService:
    """Transfers between wallets."""

    def __init__(
        self,
        *,
        journal: Journal,
        wallets: WalletService,
        identity: IdentityService,
        limits: LimitSource = NO_LIMITS,
        clock: Clock = utc_now,
    ) -> None:
        """Take what transfers need: the books, the wallets, who has which address, the limits."""
        self._journal = journal
        self._wallets = wallets
        self._identity = identity
        self._limits = limits
        self._clock = clock

    async def send(self, sender: Principal, instruction: Instruction) -> Sent:
        """Move money from the sender's wallet to the recipient's.

        Invariants:
            One key moves money once, whoever retries how often. The
            answer to a retry is made of the transfer alone.

        Raises:
            UnknownCurrency: No such currency.
            RecipientNotFound: Nobody has that address, or there is no such wallet.
            InsufficientFunds, AccountFrozen, AccountClosed, SameAccount, LimitExceeded,
                IdempotencyKeyReused, BalanceOverflow: The ledger refuses.
            Unavailable: The outcome is unknown; ask again under the same key.
        """
        currency(instruction.currency)
        try:
            to = await find_recipient(self._identity, instruction.recipient)
            limits = await self._limits.current(sender.wallet_id)
            request = transfer_request(sender, instruction, to=to, limits=limits)
        except (RecipientNotFound, NotFound):
            return await self._sent_before(sender, instruction)
        return self._sent(await self._wallets.post(request, (sender.wallet_id, to)))

    async def preview(self, sender: Principal, instruction: Instruction) -> Sent:
        """Return what `send` would come to now, and change nothing: not even an account is opened.

        Raises:
            GuilderError: What `send` would raise.
        """
        currency(instruction.currency)
        try:
            to = await find_recipient(self._identity, instruction.recipient)
            limits = await self._limits.current(sender.wallet_id)
            request = transfer_request(sender, instruction, to=to, limits=limits)
        except (RecipientNotFound, NotFound):
            return await self._sent_before(sender, instruction)
        return self._sent(await self._wallets.preview(request, (sender.wallet_id, to)))

    async def show(self, viewer: Principal, transaction_id: str) -> Shown:
        """Return a transfer of the viewer's wallet, in or out.

        Raises:
            NotFound: There is none, or it is others', or none between wallets.
        """
        book = self._journal.book
        transfer_id = decode_id(TRANSFER_PREFIX, transaction_id)
        transfer = (await book.transfers([transfer_id])).get(transfer_id)
        if transfer is None:
            raise NotFound
        accounts = await book.accounts([transfer.debit_account_id, transfer.credit_account_id])
        debit = accounts[transfer.debit_account_id]
        credit = accounts[transfer.credit_account_id]
        if not is_between_wallets(transfer, debit, credit):
            raise NotFound
        if viewer.wallet_id not in (debit.owner, credit.owner):
            raise NotFound
        is_debit = debit.owner == viewer.wallet_id
        counter_id = reversal_counter_id(transfer_id)
        counter = (await book.counters([counter_id])).get(counter_id)
        return Shown(
            transfer=transfer,
            is_debit=is_debit,
            counterparty=WalletId(credit.owner if is_debit else debit.owner),
            reversed_minor=0 if counter is None else counter.used,
        )

    async def reverse(self, payee: Principal, reversal: Reversal) -> Sent:
        """Give back a transfer that was received, in part or whole.

        Invariants:
            All reversals of a transfer together are never more than it was,
            however many are asked for at once.

        Raises:
            NotFound: The payee received no such transfer.
            OriginalNotFound: It is a reversal itself.
            ReversalExceedsOriginal: Less is left of it.
            GuilderError: Another refusal of the ledger.
        """
        return self._sent(await self._journal.post(await self._reversal(payee, reversal)))

    async def preview_reversal(self, payee: Principal, reversal: Reversal) -> Sent:
        """Return what `reverse` would come to now, and change nothing.

        Raises:
            GuilderError: What `reverse` would raise.
        """
        return self._sent(await self._wallets.preview(await self._reversal(payee, reversal)))

    async def _reversal(self, payee: Principal, reversal: Reversal) -> TransferRequest:
        shown = await self.show(payee, reversal.transaction_id)
        original = shown.transfer
        if shown.is_debit:
            raise NotFound
        metadata = {"to": str(shown.counterparty)}
        if reversal.description:
            metadata["description"] = reversal.description
        # With nothing left the whole is asked for: a retry is known by its id, all else refused.
        left = original.amount_minor - shown.reversed_minor or original.amount_minor
        return TransferRequest(
            id=derived_uuid("transfer-reversal", payee.user_id, reversal.key),
            debit_account_id=original.credit_account_id,
            credit_account_id=original.debit_account_id,
            amount_minor=left if reversal.amount_minor is None else reversal.amount_minor,
            asset=original.asset,
            code=REVERSAL,
            fingerprint=reversal.fingerprint,
            reverses_id=original.id,
            limits=budget_in(payee.limits, original.asset),
            reference=original.reference,
            metadata=metadata,
        )

    async def _sent_before(self, sender: Principal, instruction: Instruction) -> Sent:
        """Return what was sent under the key: the recipient may have moved on since."""
        transfer_id = transfer_id_of(sender, instruction.key)
        known = (await self._journal.book.transfers([transfer_id])).get(transfer_id)
        if known is not None and known.fingerprint == instruction.fingerprint:
            return Sent(known, is_replayed=True)
        raise RecipientNotFound

    def _sent(self, outcome: Outcome) -> Sent:
        if outcome.verdict in (Verdict.CREATED, Verdict.EXISTS) and outcome.transfer is not None:
            return Sent(outcome.transfer, is_replayed=outcome.verdict is Verdict.EXISTS)
        raise refused(outcome, now=self._clock())


def transfer_id_of(sender: Principal, key: str) -> UUID:
    """Return the id that a sender's idempotency key stands for."""
    return derived_uuid("transfer", sender.user_id, key)


def transfer_request(
    sender: Principal,
    instruction: Instruction,
    *,
    to: WalletId,
    limits: SpendingLimits,
    group_id: UUID | None = None,
) -> TransferRequest:
    """Return what the ledger is asked for.

    Raises:
        NotFound: `to` is no wallet's id.
    """
    metadata: dict[str, str] = {"to": to}
    if instruction.description:
        metadata["description"] = instruction.description
    for name, value in instruction.metadata.items():
        metadata[META + name] = value
    return TransferRequest(
        id=transfer_id_of(sender, instruction.key),
        debit_account_id=wallet_account_id(sender.wallet_id, instruction.currency),
        credit_account_id=wallet_account_id(to, instruction.currency),
        amount_minor=instruction.amount_minor,
        asset=instruction.currency,
        code=CODE,
        fingerprint=instruction.fingerprint,
        group_id=group_id,
        limits=limits.of(sender.wallet_id, instruction.currency, sender.limits),
        effective_at=instruction.effective_at,
        reference=instruction.reference,
        metadata=metadata,
    )
