"""What can be asked of a wallet: its record, its balances, its history."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from guilder.identity.models import User
from guilder.identity.service import IdentityService
from guilder.kernel.clock import Clock
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import UserId, WalletId, decode_id
from guilder.kernel.money import MAX_MINOR
from guilder.ledger.chart import AccountCode
from guilder.ledger.errors import AccountClosed
from guilder.ledger.journal import Journal
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from guilder.ledger.preview import preview
from guilder.storage.base import Storage, Transaction, TransferFilter
from guilder.storage.records import Account
from guilder.wallets.accounts import wallet_account
from guilder.wallets.balances import BalancesAt, balances_at
from guilder.wallets.errors import RecipientNotFound
from guilder.wallets.models import Wallet
from guilder.wallets.recipients import Recipient, find_recipient
from guilder.wallets.rules import Line, line

TRANSFER_PREFIX = "transfer"


class WalletView(Struct, frozen=True):
    """A wallet with the balances of one moment."""

    wallet: Wallet
    accounts: list[Account]
    as_of: datetime


class Party(Struct, frozen=True, kw_only=True):
    """Who is on the other side of a transaction: a wallet, or one of the platform's accounts.

    Args:
        wallet_id: Of a wallet.
        name: Of its user, or of the gateway.
    """

    wallet_id: WalletId | None
    name: str | None


class WalletService:
    """Wallets, as their owners see them."""

    def __init__(
        self,
        *,
        storage: Storage,
        journal: Journal,
        identity: IdentityService,
        clock: Clock,
        default_currency: str,
    ) -> None:
        """Take what wallets need.

        Args:
            storage: Migrated with `Wallet`.
            journal: Of the book that wallets are kept in.
            identity: For the names of counterparties.
            clock: Time for records.
            default_currency: ISO 4217 code for new wallets.
        """
        self._wallets = storage.documents(Wallet)
        self._journal = journal
        self._identity = identity
        self._clock = clock
        self._default_currency = default_currency

    async def open_for(self, transaction: Transaction, user: User) -> None:
        """Store the wallet of a new user, in the transaction that stores the user."""
        await transaction.documents(Wallet).insert(
            Wallet(
                id=user.wallet_id,
                user_id=UserId(user.id),
                default_currency=self._default_currency,
                created_at=user.created_at,
                updated_at=user.created_at,
            )
        )

    async def exists(self, wallet_id: WalletId) -> bool:
        """Tell whether there is such a wallet."""
        return await self._wallets.get(wallet_id) is not None

    async def existing(self, wallet_ids: Iterable[WalletId]) -> set[WalletId]:
        """Return those of the wallets that there are."""
        return {WalletId(each) for each in await self._wallets.get_many(list(wallet_ids))}

    async def open_accounts(self, wallet_ids: Iterable[WalletId], asset: str) -> None:
        """Open the wallets' accounts in a currency, where they are not open yet.

        What holds for a wallet holds for the new account too: of a frozen wallet it is frozen,
        of a closed one closed.

        Raises:
            AccountClosed: One of the wallets is closed.
        """
        now, ids = self._clock(), list(wallet_ids)
        accounts = [wallet_account(wallet_id, asset, now=now) for wallet_id in ids]
        await self._journal.open_accounts(accounts)
        # Read after opening: who freezes or closes later finds the account in the books.
        wallets = await self._wallets.get_many(ids)
        for account in accounts:
            wallet = wallets.get(account.owner)
            if wallet is not None and wallet.is_frozen:
                await self._journal.freeze(account.id, is_frozen=True)
            if wallet is not None and wallet.is_closed:
                await self._journal.close(account.id)
                raise AccountClosed

    async def unopened(self, wallet_ids: Iterable[WalletId], asset: str) -> list[Account]:
        """Return the wallets' accounts in a currency as they would be if they were opened now.

        Wallets that there are not are left out.
        """
        now = self._clock()
        wallets = await self._wallets.get_many(list(wallet_ids))
        return [
            msgspec.structs.replace(
                wallet_account(WalletId(wallet.id), asset, now=now),
                is_frozen=wallet.is_frozen,
                is_closed=wallet.is_closed,
            )
            for wallet in wallets.values()
        ]

    async def find(self, recipient: Recipient) -> WalletId:
        """Return the wallet that is meant.

        Raises:
            RecipientNotFound: Nobody has that address, or there is no such wallet.
        """
        wallet_id = await find_recipient(self._identity, recipient)
        if not await self.exists(wallet_id):
            raise RecipientNotFound
        return wallet_id

    async def post(self, request: TransferRequest, wallet_ids: Sequence[WalletId]) -> Outcome:
        """Post a transfer between wallets, opening their accounts where they are not open.

        Raises:
            RecipientNotFound: One of the wallets does not exist.
            Unavailable: The outcome is unknown; posting it again is safe.
        """
        outcome = await self._journal.post(request)
        if outcome.verdict is not Verdict.ACCOUNT_NOT_FOUND:
            return outcome
        if len(await self._wallets.get_many(list(wallet_ids))) < len(set(wallet_ids)):
            raise RecipientNotFound
        refusal = await self._refusal_before_opening(request)
        if refusal is not None:
            return Outcome(refusal)
        await self.open_accounts(wallet_ids, request.asset)
        return await self._journal.post(request)

    async def preview(
        self, request: TransferRequest, wallet_ids: Sequence[WalletId] = ()
    ) -> Outcome:
        """Return what `post` would come to now, and change nothing: no account is opened.

        Args:
            wallet_ids: Whose accounts `post` would open.

        Raises:
            RecipientNotFound: One of the wallets does not exist.
        """
        ids = [request.debit_account_id, request.credit_account_id]
        async with self._journal.book.snapshot() as reads:
            unopened: list[Account] = []
            if wallet_ids and len(await reads.accounts(ids)) < len(set(ids)):
                unopened = await self.unopened(wallet_ids, request.asset)
                if len(unopened) < len(set(wallet_ids)):
                    raise RecipientNotFound
            (outcome,) = await preview(reads, [request], now=self._clock(), unopened=unopened)
        return outcome

    async def _refusal_before_opening(self, request: TransferRequest) -> Verdict | None:
        """Tell why it is not worth opening accounts: nobody without money makes one for another."""
        if request.debit_account_id == request.credit_account_id:
            return Verdict.SAME_ACCOUNT
        if not 1 <= request.amount_minor <= MAX_MINOR:
            return Verdict.AMOUNT_INVALID
        accounts = await self._journal.book.accounts([request.debit_account_id])
        debit = accounts.get(request.debit_account_id)
        if debit is not None and debit.is_frozen:
            return Verdict.ACCOUNT_FROZEN
        if debit is None or debit.available < request.amount_minor:
            return Verdict.INSUFFICIENT_FUNDS
        return None

    async def view(self, wallet_id: WalletId) -> WalletView:
        """Return a wallet and its balances, from one consistent read.

        Raises:
            NotFound: There is no such wallet.
        """
        wallet = await self._wallets.get(wallet_id)
        if wallet is None:
            raise NotFound
        accounts = await self._journal.book.accounts_of(wallet_id)
        now = self._clock()
        if all(account.asset != wallet.default_currency for account in accounts):
            accounts.append(wallet_account(wallet_id, wallet.default_currency, now=now))
        return WalletView(wallet, sorted(accounts, key=lambda account: account.asset), now)

    async def balances(self, wallet_id: WalletId, at: int | datetime | None) -> BalancesAt:
        """Return a wallet's balances at a position of the journal or a time. See `balances_at`."""
        return await balances_at(self._journal.book, wallet_id, at)

    async def history(
        self,
        wallet_id: WalletId,
        wanted: TransferFilter,
        *,
        currency: str | None,
        before_position: int | None,
        limit: int,
    ) -> list[Line]:
        """Return a wallet's transactions, newest first.

        Args:
            currency: Only of this currency.
            before_position: Only those before this position of the journal.
            limit: Most lines to return.
        """
        accounts = await self._journal.book.accounts_of(wallet_id)
        mine = [a.id for a in accounts if currency is None or a.asset == currency]
        transfers = await self._journal.book.account_transfers(
            mine, wanted, before_position=before_position, limit=limit
        )
        return [line(transfer, mine) for transfer in transfers]

    async def transaction(self, wallet_id: WalletId, transaction_id: str) -> Line:
        """Return one transaction of a wallet.

        Raises:
            NotFound: There is none of that id, or it is others'.
        """
        transfer_id = decode_id(TRANSFER_PREFIX, transaction_id)
        found = (await self._journal.book.transfers([transfer_id])).get(transfer_id)
        mine = {account.id for account in await self._journal.book.accounts_of(wallet_id)}
        if found is None or mine.isdisjoint((found.debit_account_id, found.credit_account_id)):
            raise NotFound
        return line(found, mine)

    async def counterparties(self, lines: Sequence[Line]) -> dict[UUID, Party]:
        """Return who is on the other side of each line, by account."""
        ids = list({each.counterparty_account_id for each in lines})
        accounts = await self._journal.book.accounts(ids)
        wallet_ids = [a.owner for a in accounts.values() if a.code == AccountCode.WALLET]
        wallets = await self._wallets.get_many(wallet_ids)
        names = await self._identity.names_of([wallet.user_id for wallet in wallets.values()])
        parties: dict[UUID, Party] = {}
        for account in accounts.values():
            wallet = wallets.get(account.owner)
            parties[account.id] = (
                Party(wallet_id=None, name=account.owner)
                if wallet is None
                else Party(wallet_id=WalletId(wallet.id), name=names.get(wallet.user_id))
            )
        return parties
