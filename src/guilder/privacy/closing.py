"""Closing an account: first the wallet, for good, then whoever stands behind it.

The money decides: while something stands, is held or is on its way, nothing is closed. From the
moment the wallet is closed there is no way back, and a closing that is cut off is completed by
whoever asks again, or else by the sweep.
"""

from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from msgspec.structs import replace

from guilder.audit.trail import AuditTrail
from guilder.identity.erasure import erased
from guilder.identity.models import User
from guilder.identity.notices import for_people
from guilder.identity.recovery import PASSWORD_RESET
from guilder.identity.service import IdentityService
from guilder.kernel.clock import Clock
from guilder.kernel.errors import NotFound, Unavailable, check
from guilder.kernel.ids import UserId
from guilder.ledger.background import BackgroundTask
from guilder.ledger.errors import AccountClosed, AccountNotEmpty
from guilder.ledger.journal import Journal
from guilder.notifications.outbox import Outbox
from guilder.payouts.service import PayoutService
from guilder.privacy.errors import AccountInUse
from guilder.privacy.leftovers import Leftovers
from guilder.privacy.models import Closing, ClosingState
from guilder.privacy.reader import Person
from guilder.privacy.rules import refuse_in_use
from guilder.storage.base import Range, Storage, Transaction
from guilder.storage.errors import DuplicateDocument, VersionConflict
from guilder.wallets.control import WalletControl

_ATTEMPTS = 16
_AT_ONCE = 20
_COMPLETED_AFTER = timedelta(minutes=1)
"""A closing that nobody has gone on with for so long was cut off."""
_MARGIN = timedelta(minutes=1)
_INSTANT = timedelta(milliseconds=1)
_log = structlog.get_logger(__name__)


class Closer:
    """The use-case of closing an account. The sweep runs between `start` and `stop`.

    Invariants:
        The books keep every transfer: accounts are closed, never removed.
        What somebody wrote while the account was being closed is erased once no access token of
        the user can be alive.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        identity: IdentityService,
        audit: AuditTrail,
        outbox: Outbox,
        journal: Journal,
        wallets: WalletControl,
        payouts: PayoutService,
        leftovers: Leftovers,
        access_ttl_s: int,
        every_ms: int = 30_000,
    ) -> None:
        """Take what closing needs.

        Args:
            access_ttl_s: Life of an access token.
            every_ms: How often the sweep looks for closings to complete.
        """
        self._storage = storage
        self._closings = storage.documents(Closing)
        self._clock = clock
        self._identity = identity
        self._audit = audit
        self._outbox = outbox
        self._journal = journal
        self._wallets = wallets
        self._payouts = payouts
        self._leftovers = leftovers
        self._late = timedelta(seconds=access_ttl_s) + _MARGIN
        self._sweep = BackgroundTask("account-closings", self.complete_due, every_ms=every_ms)

    def start(self) -> None:
        """Start the sweep."""
        self._sweep.start()

    async def stop(self) -> None:
        """Stop the sweep."""
        await self._sweep.stop()

    async def close(self, user_id: UserId, *, address: str | None = None) -> datetime:
        """Close an account for good, and return when. Done twice, it is done once.

        Args:
            user_id: Whose.
            address: The client's, for the audit record.

        Raises:
            NotFound: There is no such user.
            AccountInUse: Money stands, is held or is on its way. Nothing has changed.
            Unavailable: It may have begun; ask again, or it is completed by itself.
        """
        user = await self._identity.get_user(user_id)
        if user is None:
            raise NotFound
        closing = await self._go_on(await self._begun(user), address=address)
        check(closing.closed_at is not None, "a closed account has a time")
        return closing.closed_at or self._clock()

    async def refuse_in_use(self, user_id: UserId) -> None:
        """Refuse what `close` would refuse now; change nothing.

        Raises:
            NotFound: There is no such user.
            AccountInUse: Money stands, is held or is on its way.
        """
        user = await self._identity.get_user(user_id)
        if user is None:
            raise NotFound
        await self._refuse_in_use(Person(user_id=user.user_id, wallet_id=user.wallet_id))

    async def complete_due(self) -> bool:
        """Go on with what was cut off, and erase what came late; tell whether there may be more."""
        due = await self._closings.page(
            {}, within=Range(field="due_at", below=self._clock() + _INSTANT), limit=_AT_ONCE
        )
        for closing in due:
            # Money came before the wallet was closed: its owner has to ask again.
            with suppress(AccountInUse):
                await self._go_on(closing)
        return len(due) == _AT_ONCE

    async def _go_on(self, closing: Closing, *, address: str | None = None) -> Closing:
        person = Person(user_id=closing.user_id, wallet_id=closing.wallet_id)
        if closing.state is ClosingState.BEGUN:
            await self._close_wallet(closing, person)
            await self._leftovers.end_plans(person)
            closing = await self._erase_user(closing, address=address)
        await self._leftovers.erase(person)
        return await self._noted(closing)

    async def _begun(self, user: User) -> Closing:
        """Return the record of the closing, made before anything else happens."""
        for _ in range(_ATTEMPTS):
            found = await self._closings.get(user.id)
            if found is not None:
                return found
            now = self._clock()
            closing = Closing(
                id=user.id,
                wallet_id=user.wallet_id,
                was_frozen=await self._wallets.is_frozen(user.wallet_id),
                due_at=now + _COMPLETED_AFTER,
                created_at=now,
                updated_at=now,
            )
            with suppress(DuplicateDocument):
                await self._closings.insert(closing)
                return closing
        raise Unavailable(retry_after_s=1)

    async def _close_wallet(self, closing: Closing, person: Person) -> None:
        """Close the wallet for good, or refuse and leave it as it was."""
        # First nothing leaves any more: a payout that is asked for now would not be seen below.
        with suppress(AccountClosed):
            await self._wallets.freeze(person.wallet_id, is_frozen=True)
        try:
            await self._refuse_in_use(person)
            try:
                await self._wallets.close(person.wallet_id)
            except AccountNotEmpty:
                # It came in this moment. What it is, is told.
                await self._refuse_in_use(person)
                raise AccountInUse from None
        except AccountInUse:
            await self._take_back(closing)
            raise

    async def _refuse_in_use(self, person: Person) -> None:
        await self._payouts.catch_up()
        refuse_in_use(
            await self._journal.book.accounts_of(person.wallet_id),
            await self._leftovers.open_payments(person),
            await self._leftovers.open_payouts(person),
        )

    async def _take_back(self, closing: Closing) -> None:
        await self._closings.delete(closing.id)
        if not closing.was_frozen:
            # Somebody else may be closing it at the same time, and have succeeded.
            with suppress(AccountClosed):
                await self._wallets.freeze(closing.wallet_id, is_frozen=False)

    async def _erase_user(self, closing: Closing, *, address: str | None) -> Closing:
        """Erase the user, record it and tell the old address: all of it or nothing."""
        for _ in range(_ATTEMPTS):
            user = await self._identity.get_user(closing.user_id)
            check(user is not None, "a user is never removed")
            if user is None or user.closed_at is not None:
                return await self._closings.get(closing.id) or closing
            now = self._clock()
            after = replace(
                closing,
                state=ClosingState.CLOSED,
                closed_at=now,
                due_at=now + _COMPLETED_AFTER,
                updated_at=now,
            )
            try:
                async with self._storage.transaction() as transaction:
                    changed = await transaction.documents(User).replace(erased(user, at=now))
                    after = await _put(transaction, after)
                    await self._audit.record(
                        "account.closed",
                        actor=user.id,
                        subject=user.id,
                        address=address,
                        transaction=transaction,
                    )
                    await self._identity.links.revoke(
                        purpose=PASSWORD_RESET, subject=user.id, transaction=transaction
                    )
                    await self._tell(transaction, user, now)
            except (VersionConflict, DuplicateDocument):
                continue
            self._identity.rights_changed(changed)
            _log.info("account_closed", user_id=user.id)
            return after
        raise Unavailable(retry_after_s=1)

    async def _tell(self, transaction: Transaction, user: User, now: datetime) -> None:
        """Leave the last message there will be: it names nobody, so it outlives the erasure."""
        to = self._identity.reach_of(user)
        if to is None:
            return
        await self._outbox.put(
            transaction,
            channel=to.channel,
            to=to.text,
            template="account_closed",
            values={"at": for_people(now)},
            user_id=None,
        )

    async def _noted(self, closing: Closing) -> Closing:
        """Write down that everything is erased, and when to look for what came late."""
        if closing.closed_at is None:
            return closing
        now = self._clock()
        again_at = closing.closed_at + self._late
        due_at = again_at if now < again_at else None
        # Whoever wrote in the meantime wrote the same.
        with suppress(VersionConflict):
            return await self._closings.replace(replace(closing, due_at=due_at, updated_at=now))
        return closing


async def _put(transaction: Transaction, closing: Closing) -> Closing:
    """Store the record, also if somebody who met money has removed it meanwhile."""
    closings = transaction.documents(Closing)
    found = await closings.get(closing.id)
    if found is None:
        fresh = replace(closing, version=1)
        await closings.insert(fresh)
        return fresh
    return await closings.replace(replace(closing, version=found.version))
