"""People with passkeys at the service itself: the clock can be moved, and nothing is over HTTP."""

from dataclasses import dataclass
from typing import Any

from guilder.audit.models import AuditEvent
from guilder.identity.authentication import Principal
from guilder.identity.factors.passkeys import Added
from guilder.identity.service import IdentityService
from guilder.identity.sessions import SignIn
from guilder.storage.base import Storage
from tests.support.identity import PASSWORD
from tests.support.passkeys import SoftDevice

CLIENT = "192.0.2.7"


@dataclass
class Payer:
    """Somebody who is signed in, and a device of theirs."""

    identity: IdentityService
    sign_in: SignIn
    device: SoftDevice

    @property
    def principal(self) -> Principal:
        return self.identity.principal(self.sign_in.access_token)

    async def add(self, device: SoftDevice | None = None, *, name: str = "Telephone") -> Added:
        """Make a passkey and have it kept."""
        options = await self.identity.passkeys.creation_options(self.principal)
        made = (device or self.device).make(options.public_key)
        return await self.identity.passkeys.add(self.principal, made, name=name, client=CLIENT)

    async def come_back(self, device: SoftDevice | None = None, **lies: Any) -> SignIn:
        """Sign in with a passkey."""
        options = await self.identity.passkey_proofs.sign_in_options()
        shown = (device or self.device).show(options.public_key, **lies)
        return await self.identity.passkey_proofs.sign_in(shown, client=CLIENT)


async def payer_of(identity: IdentityService, email: str) -> Payer:
    """Sign somebody in by password, on a device without a passkey so far."""
    return Payer(identity, await identity.login(email=email, password=PASSWORD), SoftDevice())


async def events(storage: Storage, action: str) -> list[AuditEvent]:
    """Return what was recorded under an action."""
    found = await storage.documents(AuditEvent).page({}, limit=1000)
    return [each for each in found if each.action == action]
