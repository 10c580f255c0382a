"""Puts together what second factors are made of."""

from dataclasses import dataclass

from guilder.audit.trail import AuditTrail
from guilder.identity.challenges import Challenges
from guilder.identity.config import IdentityConfig
from guilder.identity.factors.devices import TrustedDevices
from guilder.identity.factors.provers import PasswordProver, RecoveryCodeProver, TotpProver
from guilder.identity.factors.recovery_codes import RecoveryCodes
from guilder.identity.factors.rules import Method
from guilder.identity.factors.totp import Totp
from guilder.identity.notices import Notices
from guilder.identity.passwords import Passwords
from guilder.identity.step_up import StepUp
from guilder.identity.throttles import Throttles
from guilder.kernel.clock import Clock
from guilder.storage.base import Storage
from guilder.vault.vault import Vault, derived_key


@dataclass(frozen=True, slots=True)
class FactorParts:
    """What asks for factors, and what they are. Each of it has its own description."""

    totp: Totp
    codes: RecoveryCodes
    devices: TrustedDevices
    challenges: Challenges
    step_up: StepUp


def factor_parts(
    *,
    storage: Storage,
    clock: Clock,
    config: IdentityConfig,
    vault: Vault,
    throttles: Throttles,
    passwords: Passwords,
    notices: Notices,
    audit: AuditTrail,
) -> FactorParts:
    """Return everything that needs no session; passkeys are added to `challenges` later."""
    totp = Totp(storage, vault=vault, clock=clock, issuer=config.brand)
    codes = RecoveryCodes(storage, clock=clock, key=derived_key(config.pepper, "recovery-codes"))
    devices = TrustedDevices(storage, clock=clock)
    challenges = Challenges(
        storage=storage,
        clock=clock,
        throttles=throttles,
        audit=audit,
        devices=devices,
        provers={
            Method.TOTP: TotpProver(totp),
            Method.RECOVERY_CODE: RecoveryCodeProver(
                codes, storage=storage, notices=notices, audit=audit
            ),
            Method.PASSWORD: PasswordProver(passwords),
        },
    )
    step_up = StepUp(
        challenges,
        storage=storage,
        clock=clock,
        key=derived_key(config.pepper, "step-up"),
        audit=audit,
        policy=config.step_up,
    )
    return FactorParts(totp, codes, devices, challenges, step_up)
