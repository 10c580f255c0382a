"""Sending money from one wallet to another."""

from msgspec import Struct

from guilder.identity.authentication import Principal
from guilder.identity.service import IdentityService
from guilder.kernel.currency import currency
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import WalletId, derived_uuid
from guilder.ledger.errors import refusal
from guilder.ledger.journal import Journal
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from guilder.storage.records import Transfer
from guilder.wallets.accounts import wallet_account_id
from guilder.wallets.errors import RecipientNotFound
from guilder.wallets.recipients import Recipient, find_recipient
from guilder.wallets.service import WalletService

CODE = "transfer"


class Instruction(Struct, frozen=True, kw_only=True):
    """What somebody asks to send.

    Args:
        amount_minor: 1 to 2^63-1 minor units of `currency`.
        currency: ISO 4217 code or declared asset.
        description: For both sides.
        key: Idempotency key of the sender; it becomes the transfer's id.
        fingerprint: 32 bytes of the whole request.
    """

    amount_minor: int
    currency: str
    recipient: Recipient
    description: str
    key: str
    fingerprint: bytes


class Sent(Struct, frozen=True):
    """The transfer in the journal; `is_replayed` if it was there before."""

    transfer: Transfer
    is_replayed: bool


class TransferService:
    """Transfers between wallets."""

    def __init__(
        self, *, journal: Journal, wallets: WalletService, identity: IdentityService
    ) -> None:
        """Take what transfers need: the books, the wallets, and who has which address."""
        self._journal = journal
        self._wallets = wallets
        self._identity = identity

    async def send(self, sender: Principal, instruction: Instruction) -> Sent:
        """Move money from the sender's wallet to the recipient's.

        Invariants:
            One key moves money once, whoever retries how often. The
            answer to a retry is made of the transfer alone.

        Raises:
            UnknownCurrency: No such currency.
            RecipientNotFound: Nobody has that address, or there is no such wallet.
            InsufficientFunds, AccountFrozen, AccountClosed, SameAccount,
                IdempotencyKeyReused, BalanceOverflow: The ledger refuses.
            Unavailable: The outcome is unknown; ask again under the same key.
        """
        currency(instruction.currency)
        transfer_id = derived_uuid("transfer", sender.user_id, instruction.key)
        try:
            to = await find_recipient(self._identity, instruction.recipient)
            credit = wallet_account_id(to, instruction.currency)
        except (RecipientNotFound, NotFound):
            # The recipient may have moved on since; what was sent then stays sent.
            known = (await self._journal.book.transfers([transfer_id])).get(transfer_id)
            if known is not None and known.fingerprint == instruction.fingerprint:
                return Sent(known, is_replayed=True)
            raise RecipientNotFound from None
        metadata: dict[str, str] = {"to": to}
        if instruction.description:
            metadata["description"] = instruction.description
        request = TransferRequest(
            id=transfer_id,
            debit_account_id=wallet_account_id(sender.wallet_id, instruction.currency),
            credit_account_id=credit,
            amount_minor=instruction.amount_minor,
            asset=instruction.currency,
            code=CODE,
            fingerprint=instruction.fingerprint,
            metadata=metadata,
        )
        outcome = await self._journal.post(request)
        if outcome.verdict is Verdict.ACCOUNT_NOT_FOUND:
            outcome = await self._open_and_post(request, sender.wallet_id, to)
        return _sent(outcome)

    async def _open_and_post(
        self, request: TransferRequest, sender: WalletId, to: WalletId
    ) -> Outcome:
        """Post again, once both wallets have an account in the currency."""
        if not await self._wallets.exists(to):
            raise RecipientNotFound
        await self._wallets.open_accounts({sender, to}, request.asset)
        return await self._journal.post(request)


def _sent(outcome: Outcome) -> Sent:
    if outcome.verdict in (Verdict.CREATED, Verdict.EXISTS) and outcome.transfer is not None:
        return Sent(outcome.transfer, is_replayed=outcome.verdict is Verdict.EXISTS)
    raise refusal(outcome.verdict)
