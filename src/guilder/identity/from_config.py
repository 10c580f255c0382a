"""Makes parts of identity the way they are configured."""

from guilder.identity.codes import Links, OneTimeCodes
from guilder.identity.config import IdentityConfig
from guilder.identity.throttle_rules import ThrottlePolicy
from guilder.identity.throttles import Throttles
from guilder.identity.tokens import AccessTokens
from guilder.kernel.clock import Clock
from guilder.storage.base import Storage
from guilder.vault.vault import derived_key


def throttles_of(
    config: IdentityConfig, storage: Storage, clock: Clock, *, policy: ThrottlePolicy | None = None
) -> Throttles:
    """Return counters of attempts, as patient as configured or as `policy` says."""
    return Throttles(
        storage,
        clock=clock,
        key=derived_key(config.pepper, "throttles"),
        policy=policy or config.throttles,
        counts_addresses=config.throttles_addresses,
    )


def codes_of(config: IdentityConfig, storage: Storage, clock: Clock) -> tuple[OneTimeCodes, Links]:
    """Return one-time codes that people type, and links that they click."""
    key = derived_key(config.pepper, "one-time-codes")
    return OneTimeCodes(storage, clock=clock, key=key), Links(storage, clock=clock, key=key)


def access_tokens_of(config: IdentityConfig, clock: Clock) -> AccessTokens:
    """Return what signs and reads access tokens."""
    return AccessTokens(
        keys=config.signing_keys,
        issuer=config.issuer,
        audience=config.audience,
        ttl_s=config.access_ttl_s,
        clock=clock,
        cache_size=config.claims_cache_size,
    )
