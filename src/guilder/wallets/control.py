"""What an owner does to the whole wallet: stop what leaves it, let it leave again, close it."""

from collections.abc import Callable

import msgspec

from guilder.kernel.clock import Clock
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import WalletId
from guilder.ledger.errors import AccountClosed, AccountNotEmpty
from guilder.ledger.journal import Journal
from guilder.storage.base import Storage
from guilder.storage.errors import VersionConflict
from guilder.storage.records import Account
from guilder.wallets.models import Wallet


class WalletControl:
    """The flags of wallets, and of their accounts, which the ledger obeys.

    Invariants:
        The record is written before the accounts: an account that opens in
        between takes its flags from the record. Doing anything twice does it once.
    """

    def __init__(self, *, storage: Storage, journal: Journal, clock: Clock) -> None:
        """Take the records, the books and the time."""
        self._wallets = storage.documents(Wallet)
        self._journal = journal
        self._clock = clock

    async def freeze(self, wallet_id: WalletId, *, is_frozen: bool) -> None:
        """Stop what leaves a wallet in any currency, or let it leave again. Money still arrives.

        What holds reserve already may still be captured.

        Raises:
            NotFound: There is no such wallet.
            AccountClosed: It is closed.
        """

        def flagged(wallet: Wallet) -> Wallet:
            if wallet.is_closed:
                raise AccountClosed
            return msgspec.structs.replace(wallet, is_frozen=is_frozen)

        wallet = await self._change(wallet_id, flagged)
        while True:
            accounts = await self._accounts(wallet_id)
            open_ids = [each.id for each in accounts if not each.is_closed]
            if open_ids:
                await self._journal.freeze_all(open_ids, is_frozen=wallet.is_frozen)
            # Somebody may have asked for the opposite meanwhile: the record is what counts.
            latest = await self._get(wallet_id)
            if latest.is_frozen == wallet.is_frozen:
                return
            wallet = latest

    async def is_frozen(self, wallet_id: WalletId) -> bool:
        """Tell whether a wallet is frozen.

        Raises:
            NotFound: There is no such wallet.
        """
        return (await self._get(wallet_id)).is_frozen

    async def close(self, wallet_id: WalletId) -> None:
        """Close an empty wallet for good: all of its currencies at one moment, or none.

        Whoever is cut off in the middle, or finds that somebody was, completes it by asking again.

        Raises:
            NotFound: There is no such wallet.
            AccountNotEmpty: Something stands or is held in one of its currencies.
        """
        accounts = await self._accounts(wallet_id)
        is_empty = not any(a.posted or a.pending_in or a.pending_out for a in accounts)
        if not (is_empty and await self._close_all(wallet_id)):
            await self._reopen(wallet_id)
            raise AccountNotEmpty

    async def _close_all(self, wallet_id: WalletId) -> bool:
        """Close record and accounts; tell whether they were empty to the end."""
        await self._change(wallet_id, _closed)
        account_ids = [each.id for each in await self._accounts(wallet_id)]
        try:
            if account_ids:
                await self._journal.close_all(account_ids)
        except AccountNotEmpty:
            return False
        # Somebody who met money a moment ago may have taken the record back.
        await self._change(wallet_id, _closed)
        return True

    async def _reopen(self, wallet_id: WalletId) -> None:
        """Take back the record of a closing that did not come about, unless another one has."""
        await self._change(wallet_id, _open)
        accounts = await self._accounts(wallet_id)
        if accounts and all(each.is_closed for each in accounts):
            await self._change(wallet_id, _closed)

    async def _accounts(self, wallet_id: WalletId) -> list[Account]:
        return await self._journal.book.accounts_of(wallet_id)

    async def _get(self, wallet_id: WalletId) -> Wallet:
        wallet = await self._wallets.get(wallet_id)
        if wallet is None:
            raise NotFound
        return wallet

    async def _change(self, wallet_id: WalletId, change: Callable[[Wallet], Wallet]) -> Wallet:
        """Write a change of the record, made anew on whatever it has become in the meantime."""
        while True:
            wallet = await self._get(wallet_id)
            changed = change(wallet)
            if changed == wallet:
                return wallet
            try:
                return await self._wallets.replace(
                    msgspec.structs.replace(changed, updated_at=self._clock())
                )
            except VersionConflict:
                continue


def _closed(wallet: Wallet) -> Wallet:
    return msgspec.structs.replace(wallet, is_closed=True)


def _open(wallet: Wallet) -> Wallet:
    return msgspec.structs.replace(wallet, is_closed=False)
