"""People with wallets and money, for tests of the services that move it."""

import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass

from guilder.identity.authentication import Principal
from guilder.identity.models import User
from guilder.identity.service import IdentityService
from guilder.kernel.ids import SessionId, UserId, WalletId
from guilder.ledger.chart import AccountCode, system_account
from guilder.ledger.journal import Journal
from guilder.ledger.models import TransferRequest, Verdict
from guilder.storage.base import Storage, Transaction
from guilder.transfers.service import Instruction, Sent, TransferService
from guilder.wallets.accounts import wallet_account_id
from guilder.wallets.models import Wallet
from guilder.wallets.recipients import Recipient
from guilder.wallets.service import WalletService
from tests.support.books import fingerprint, transfer_id
from tests.support.identity import HandClock, application, identity_service
from tests.support.postgres_books import journal_on

_numbers = itertools.count(1)


@dataclass
class People:
    """The services, and ways to make people and money."""

    storage: Storage
    clock: HandClock
    journal: Journal
    identity: IdentityService
    wallets: WalletService
    transfers: TransferService

    async def person(self, name: str = "Somebody", *, phone: str | None = None) -> User:
        """Register somebody."""
        record = (await self.identity.register(application(name=name, phone=phone))).record
        user = await self.identity.get_user(UserId(record.id))
        assert user is not None
        return user

    async def fund(self, user: User, amount: int, asset: str = "USD") -> None:
        """Pay money into somebody's wallet."""
        clearing = system_account(
            AccountCode.GATEWAY_CLEARING, owner="simulator", asset=asset, now=self.clock()
        )
        await self.journal.open_accounts([clearing])
        await self.wallets.open_accounts([user.wallet_id], asset)
        outcome = await self.journal.post(
            TransferRequest(
                id=transfer_id(f"funding {next(_numbers)}"),
                debit_account_id=clearing.id,
                credit_account_id=wallet_account_id(user.wallet_id, asset),
                amount_minor=amount,
                asset=asset,
                code="payment",
                fingerprint=fingerprint("funding"),
            )
        )
        assert outcome.verdict is Verdict.CREATED

    async def send(
        self,
        sender: User,
        to: Recipient | User,
        amount: int = 1,
        *,
        currency: str = "USD",
        description: str = "",
        key: str = "",
        request: str = "",
    ) -> Sent:
        """Send money from somebody to somebody."""
        recipient = Recipient(wallet_id=to.wallet_id) if isinstance(to, User) else to
        return await self.transfers.send(
            principal_of(sender),
            Instruction(
                amount_minor=amount,
                currency=currency,
                recipient=recipient,
                description=description,
                key=key or f"key {next(_numbers)}",
                fingerprint=fingerprint(request or (amount, currency, description)),
            ),
        )

    async def available(self, user: User, asset: str = "USD") -> int:
        """Return what somebody may spend."""
        view = await self.wallets.view(user.wallet_id)
        return next(each.available for each in view.accounts if each.asset == asset)


def principal_of(user: User) -> Principal:
    """Return somebody who is signed in."""
    return Principal(
        user_id=UserId(user.id),
        wallet_id=WalletId(user.wallet_id),
        session_id=SessionId("session_test"),
    )


@contextlib.asynccontextmanager
async def people_on(storage: Storage) -> AsyncIterator[People]:
    """Lend the services on a storage."""
    clock = HandClock()
    await storage.migrate([Wallet])
    opened: list[WalletService] = []

    async def on_registered(transaction: Transaction, user: User) -> None:
        await opened[0].open_for(transaction, user)

    async with (
        journal_on(storage.ledger()) as journal,
        identity_service(storage, clock, on_registered=[on_registered]) as identity,
    ):
        wallets = WalletService(
            storage=storage,
            journal=journal,
            identity=identity,
            clock=clock,
            default_currency="USD",
        )
        opened.append(wallets)
        transfers = TransferService(journal=journal, wallets=wallets, identity=identity)
        yield People(storage, clock, journal, identity, wallets, transfers)
