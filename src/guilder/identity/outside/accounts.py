"""Which accounts at other companies sign which user in: added, removed, found."""

from msgspec.structs import replace

from guilder.audit.trail import AuditTrail
from guilder.identity.models import User
from guilder.identity.notices import Notices
from guilder.identity.outside import rules
from guilder.identity.outside.errors import (
    OutsideAlreadyLinked,
    OutsideLastWayIn,
    OutsideProviderUnknown,
)
from guilder.identity.outside.models import OutsideAccount, OutsidePerson
from guilder.identity.user_changes import UserChanges
from guilder.kernel.clock import Clock
from guilder.kernel.errors import NotFound, Unavailable
from guilder.kernel.ids import UserId
from guilder.storage.base import Range, Storage, Transaction
from guilder.storage.errors import DuplicateDocument, VersionConflict
from guilder.vault.vault import Vault, context_of

_ATTEMPTS = 16
_MOST = 100
"""More than there are companies."""
_INDEX = "outside_accounts.subject"


class OutsideAccounts:
    """The linked accounts.

    Invariants:
        Linking and unlinking change the user's record too: of two that meet, one looks again.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        vault: Vault,
        audit: AuditTrail,
        notices: Notices,
        is_verified_required: bool,
    ) -> None:
        """Take what linking needs; does nothing yet.

        Args:
            storage: Migrated with `models.MODELS`.
            clock: Time for records.
            vault: Seals addresses, and hides the companies' names for people.
            audit: The record of security events.
            notices: Tells users.
            is_verified_required: A password alone lets nobody in who has confirmed nothing.
        """
        self._storage = storage
        self._accounts = storage.documents(OutsideAccount)
        self._users = storage.documents(User)
        self._changes = UserChanges(storage, clock=clock)
        self._clock = clock
        self._vault = vault
        self._audit = audit
        self._notices = notices
        self._is_verified_required = is_verified_required

    async def find(self, person: OutsidePerson) -> OutsideAccount | None:
        """Return the linked account of somebody, by issuer and subject and nothing else."""
        return await self._accounts.get(self._id(person))

    async def of_user(self, user_id: UserId) -> list[OutsideAccount]:
        """Return the user's linked accounts, by company."""
        return await self._accounts.page(
            {"user_id": user_id}, within=Range(field="provider"), limit=_MOST
        )

    def email_of(self, account: OutsideAccount) -> str | None:
        """Return the address that the company named when the account was linked."""
        if account.email is None:
            return None
        return self._vault.open(account.email, context=_place(account.id))

    async def add(
        self,
        transaction: Transaction,
        user: User,
        provider: str,
        person: OutsidePerson,
        *,
        client: str | None,
    ) -> OutsideAccount:
        """Link an account in the transaction that makes or changes its user.

        Raises:
            DuplicateDocument: It is linked, or the user has one at that company.
        """
        now, account_id = self._clock(), self._id(person)
        sealed = person.email and self._vault.seal(person.email, context=_place(account_id))
        account = OutsideAccount(
            id=account_id,
            user_id=user.user_id,
            provider=provider,
            email=sealed or None,
            created_at=now,
            updated_at=now,
        )
        await transaction.documents(OutsideAccount).insert(account)
        await self._audit.record(
            "outside_account.linked",
            actor=user.id,
            subject=user.id,
            details={"provider": provider},
            address=client,
            transaction=transaction,
        )
        return account

    async def link(
        self,
        user_id: UserId,
        provider: str,
        person: OutsidePerson,
        *,
        label: str,
        client: str | None,
    ) -> OutsideAccount:
        """Link an account to a signed-in user, and tell them. Linked already, it stays so.

        Raises:
            OutsideAlreadyLinked: It is somebody else's, or the user has another one there.
            NotFound: The user is gone.
        """

        async def also(transaction: Transaction, user: User) -> None:
            await self.add(transaction, user, provider, person, client=client)
            await self._notices.tell(transaction, user, "way_in_added", {"way": label})

        try:
            await self._changes.change(user_id, _open, also=also)
        except DuplicateDocument as error:
            linked = await self.find(person)
            if linked is None or linked.user_id != user_id:
                raise OutsideAlreadyLinked from error
            return linked
        linked = await self.find(person)
        if linked is None:
            raise Unavailable(retry_after_s=1)  # Unlinked in this moment.
        return linked

    async def unlink(
        self, user_id: UserId, provider: str, *, label: str, client: str | None
    ) -> None:
        """Remove a linked account, unless it is the only way in, and tell the user.

        Raises:
            OutsideProviderUnknown: The user has none at that company.
            OutsideLastWayIn: Nothing else would let the user in.
        """
        for _ in range(_ATTEMPTS):
            user = await self._users.get(user_id)
            if user is None or user.closed_at is not None:
                raise NotFound
            linked = await self.of_user(user_id)
            going = next((each for each in linked if each.provider == provider), None)
            if going is None:
                raise OutsideProviderUnknown
            if not self._leaves_a_way_in(user, len(linked) - 1):
                raise OutsideLastWayIn
            try:
                await self._remove(user, going, label, client)
            except VersionConflict:
                continue
            return
        raise Unavailable(retry_after_s=1)

    async def _remove(
        self, user: User, going: OutsideAccount, label: str, client: str | None
    ) -> None:
        async with self._storage.transaction() as transaction:
            # The user's record is what two that unlink at once meet at.
            changed = replace(user, updated_at=self._clock())
            await transaction.documents(User).replace(changed)
            await transaction.documents(OutsideAccount).delete(going.id)
            await self._notices.tell(transaction, user, "way_in_removed", {"way": label})
            await self._audit.record(
                "outside_account.unlinked",
                actor=user.id,
                subject=user.id,
                details={"provider": going.provider},
                address=client,
                transaction=transaction,
            )

    def _leaves_a_way_in(self, user: User, others: int) -> bool:
        # Whoever began at another company has a verified address, so this password is known.
        password_suffices = user.email_key is not None and not self._is_verified_required
        return rules.leaves_a_way_in(
            others=others, is_verified=user.is_verified, password_suffices=password_suffices
        )

    def _id(self, person: OutsidePerson) -> str:
        # Length first: no two pairs make one text.
        return self._vault.blind_index(
            _INDEX, f"{len(person.issuer)}:{person.issuer}{person.subject}"
        )


def _open(user: User) -> User:
    """Return a user as they are, unless the account was closed meanwhile.

    Raises:
        NotFound: It was.
    """
    if user.closed_at is not None:
        raise NotFound
    return user


def _place(account_id: str) -> str:
    return context_of(OutsideAccount.collection, account_id, "email")
