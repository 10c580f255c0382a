"""Signing in by another company: the use-cases.

Who somebody is there is the pair of issuer and subject. An address that the company vouches for may
open a new account of ours; it never opens one that is there already.
"""

import structlog
from msgspec import Struct

from guilder.audit.trail import AuditTrail
from guilder.identity.addresses import Addresses
from guilder.identity.devices import NO_DEVICE, Device
from guilder.identity.models import User
from guilder.identity.notices import Notices
from guilder.identity.outside.accounts import OutsideAccounts
from guilder.identity.outside.attempts import Attempts, Begun, Reply
from guilder.identity.outside.config import OutsideConfig, ProviderConfig
from guilder.identity.outside.errors import OutsideAttemptInvalid, OutsideEmailNeeded, SignInToLink
from guilder.identity.outside.models import OutsideAccount, OutsidePerson
from guilder.identity.outside.providers import make_providers
from guilder.identity.registration import Registrar
from guilder.identity.sessions import Sessions, SignIn
from guilder.kernel.clock import Clock
from guilder.kernel.errors import Unavailable
from guilder.kernel.ids import UserId
from guilder.storage.base import Storage, Transaction
from guilder.storage.errors import DuplicateDocument
from guilder.vault.vault import Vault

_ATTEMPTS = 3
"""Two that are new at once: the second look finds what the first of them stored."""
_log = structlog.get_logger(__name__)


class LinkedAccount(Struct, frozen=True, kw_only=True):
    """A linked account, as its user may see it."""

    account: OutsideAccount
    label: str
    email: str | None

    def __repr__(self) -> str:
        """Return nothing personal."""
        return f"LinkedAccount({self.account.provider!r})"


class OutsideSignIn:
    """The use-cases of signing in by other companies.

    Attributes:
        accounts: Which accounts there sign whom in.
        attempts: What is under way.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        config: OutsideConfig,
        vault: Vault,
        addresses: Addresses,
        registrar: Registrar,
        sessions: Sessions,
        notices: Notices,
        audit: AuditTrail,
        is_verified_required: bool,
    ) -> None:
        """Take what signing in needs; nothing is fetched before somebody does.

        Args:
            storage: Migrated with `models.MODELS`.
            clock: Time for lifetimes and records.
            config: Which companies, and where browsers may be sent.
            vault: Seals what is stored.
            addresses: Finds who has an address.
            registrar: Makes new users.
            sessions: Opened in the end.
            notices: Tells users.
            audit: The record of security events.
            is_verified_required: A password alone lets nobody in who has confirmed nothing.
        """
        self._users = storage.documents(User)
        self._config = config
        self._addresses = addresses
        self._registrar = registrar
        self._sessions = sessions
        self._providers = make_providers(config.providers, clock=clock)
        self.attempts = Attempts(
            storage=storage,
            clock=clock,
            vault=vault,
            audit=audit,
            config=config,
            providers=self._providers,
        )
        self.accounts = OutsideAccounts(
            storage=storage,
            clock=clock,
            vault=vault,
            audit=audit,
            notices=notices,
            is_verified_required=is_verified_required,
        )

    @property
    def providers(self) -> tuple[ProviderConfig, ...]:
        """The companies that people can sign in by."""
        return self._config.providers

    async def begin(self, name: str, *, return_url: str, challenge: str) -> str:
        """Return where to send the browser of somebody who wants to sign in.

        Raises:
            OutsideProviderUnknown: There is no such company.
            InvalidRequest: The return address is not one of ours, or the challenge is none.
            OutsideUnavailable: The company does not answer, or not as itself.
        """
        return await self.attempts.begin(name, Begun(return_url=return_url, challenge=challenge))

    async def begin_link(
        self, user_id: UserId, name: str, *, return_url: str, challenge: str
    ) -> str:
        """Return where to send the browser of a signed-in user who links an account.

        Raises:
            As `begin`.
        """
        begun = Begun(return_url=return_url, challenge=challenge, user_id=user_id)
        return await self.attempts.begin(name, begun)

    async def come_back(self, name: str, reply: Reply, *, client: str | None) -> str:
        """Return where the browser goes on to, with a one-time code or with what went wrong.

        Raises:
            OutsideAttemptInvalid: The state is unknown, used, too old, or another company's.
            OutsideProviderUnknown: There is no such company.
        """
        return await self.attempts.come_back(name, reply, client=client)

    async def complete(
        self, code: str, verifier: str, *, client: str | None, device: Device = NO_DEVICE
    ) -> SignIn:
        """Open a session for whoever came back; for somebody new, make a user first.

        Raises:
            OutsideAttemptInvalid: Unknown, used, too old, another client's, or for linking.
            SignInToLink: A user has the address.
            OutsideEmailNeeded: Somebody new, and the company vouches for no address.
            PasswordChecksBusy: Too many passwords are being hashed.
        """
        provider, person = await self.attempts.finish(code, verifier, user_id=None)
        user = await self._user(provider, person, client)
        _log.info("signed_in", user_id=user.id, way=provider)
        return await self._sessions.open(user, client=client, device=device)

    async def complete_link(
        self, user_id: UserId, code: str, verifier: str, *, client: str | None
    ) -> LinkedAccount:
        """Link the account of whoever came back to the user who began.

        Raises:
            OutsideAttemptInvalid: Unknown, used, too old, another client's or another user's.
            OutsideAlreadyLinked: It is somebody else's, or the user has another one there.
        """
        provider, person = await self.attempts.finish(code, verifier, user_id=user_id)
        label = self._label(provider)
        account = await self.accounts.link(user_id, provider, person, label=label, client=client)
        return self._shown(account)

    async def linked(self, user_id: UserId) -> list[LinkedAccount]:
        """Return the user's linked accounts."""
        return [self._shown(each) for each in await self.accounts.of_user(user_id)]

    async def unlink(self, user_id: UserId, provider: str, *, client: str | None) -> None:
        """Remove a linked account. One at a company that is not set up any more, too.

        Raises:
            OutsideProviderUnknown: The user has none there.
            OutsideLastWayIn: Nothing else would let the user in.
        """
        await self.accounts.unlink(user_id, provider, label=self._label(provider), client=client)

    async def aclose(self) -> None:
        """Give the connections back."""
        for provider in self._providers.values():
            await provider.aclose()

    async def _user(self, provider: str, person: OutsidePerson, client: str | None) -> User:
        for _ in range(_ATTEMPTS):
            account = await self.accounts.find(person)
            if account is not None:
                user = await self._users.get(account.user_id)
                if user is None or user.closed_at is not None:
                    raise OutsideAttemptInvalid  # Closed in this moment.
                return user
            if person.email is None or not person.is_email_shown:
                raise OutsideEmailNeeded(name=person.name, email=person.email)
            if await self._is_taken(person.email):
                raise SignInToLink
            try:
                return await self._new_user(provider, person, person.email, client)
            except DuplicateDocument:
                # Somebody was faster: by the same account, or with the same address.
                continue
        raise Unavailable(retry_after_s=1)

    async def _is_taken(self, email: str) -> bool:
        found = await self._users.find_one({"email_key": self._addresses.email_key(email)})
        return found is not None

    async def _new_user(
        self, provider: str, person: OutsidePerson, email: str, client: str | None
    ) -> User:
        async def also(transaction: Transaction, user: User) -> None:
            await self.accounts.add(transaction, user, provider, person, client=client)

        return await self._registrar.admit(
            name=person.name, verified_email=email, client=client, also=also
        )

    def _label(self, provider: str) -> str:
        found = self._providers.get(provider)
        return found.config.label if found else provider

    def _shown(self, account: OutsideAccount) -> LinkedAccount:
        email = self.accounts.email_of(account)
        return LinkedAccount(account=account, label=self._label(account.provider), email=email)
