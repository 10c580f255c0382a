"""What every part of identity stands on."""

from dataclasses import dataclass

from guilder.audit.trail import AuditTrail
from guilder.identity.addresses import Addresses
from guilder.identity.codes import Links, OneTimeCodes
from guilder.identity.config import IdentityConfig
from guilder.identity.notices import Notices
from guilder.identity.passwords import Passwords
from guilder.identity.throttles import Throttles
from guilder.kernel.clock import Clock
from guilder.storage.base import Storage
from guilder.vault.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The storage, and what is shared by all who stand on it."""

    storage: Storage
    clock: Clock
    config: IdentityConfig
    vault: Vault
    addresses: Addresses
    passwords: Passwords
    throttles: Throttles
    codes: OneTimeCodes
    links: Links
    notices: Notices
    audit: AuditTrail
