"""Puts together what passkeys are made of, and offers them as a second factor."""

from typing import NamedTuple

from guilder.audit.trail import AuditTrail
from guilder.identity.addresses import Addresses
from guilder.identity.config import IdentityConfig
from guilder.identity.factor_parts import FactorParts
from guilder.identity.factors.passkey_ceremonies import Ceremonies
from guilder.identity.factors.passkey_challenges import PasskeyChallenges
from guilder.identity.factors.passkey_proofs import PasskeyProofs
from guilder.identity.factors.passkeys import Passkeys
from guilder.identity.factors.rules import Method
from guilder.identity.notices import Notices
from guilder.identity.sessions import Sessions
from guilder.identity.throttles import Throttles
from guilder.kernel.clock import Clock
from guilder.storage.base import Storage
from guilder.vault.vault import Vault


class PasskeyParts(NamedTuple):
    """The passkeys of users, and what they prove."""

    passkeys: Passkeys
    proofs: PasskeyProofs


def passkey_parts(
    parts: FactorParts,
    *,
    storage: Storage,
    clock: Clock,
    config: IdentityConfig,
    vault: Vault,
    addresses: Addresses,
    sessions: Sessions,
    throttles: Throttles,
    notices: Notices,
    audit: AuditTrail,
) -> PasskeyParts:
    """Return what passkeys are made of; from now on `parts.challenges` asks for them too."""
    ceremonies = Ceremonies(config.relying_party)
    challenges = PasskeyChallenges(storage, clock=clock)
    proofs = PasskeyProofs(
        storage=storage,
        clock=clock,
        ceremonies=ceremonies,
        challenges=challenges,
        sessions=sessions,
        throttles=throttles,
        notices=notices,
        audit=audit,
    )
    parts.challenges.add(Method.PASSKEY, proofs)
    passkeys = Passkeys(
        storage=storage,
        clock=clock,
        ceremonies=ceremonies,
        challenges=challenges,
        vault=vault,
        addresses=addresses,
        totp=parts.totp,
        codes=parts.codes,
        sessions=sessions,
        notices=notices,
        audit=audit,
        sms_offered=config.sms_offered,
    )
    return PasskeyParts(passkeys, proofs)
