"""What identity must be told: keys, names and lifetimes, as plain values."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from guilder.identity.factors.passkey_rules import RelyingParty
from guilder.identity.factors.rules import StepUpPolicy
from guilder.identity.outside.config import OutsideConfig
from guilder.identity.roles import Role, is_staff
from guilder.identity.throttle_rules import ThrottlePolicy
from guilder.kernel.errors import InvariantViolation, check
from guilder.vault.vault import derived_key

Algorithm = Literal["Ed25519", "HS256"]
PasswordAlgorithm = Literal["bcrypt", "argon2id"]

_SECRET_MIN_BYTES = 32
_KEY_BYTES = 32
_PEM = b"-----BEGIN"
_BCRYPT_COSTS = range(4, 32)
LOCAL_PARTY: Final = RelyingParty("localhost", "Guilder", ("http://localhost:8000",))
"""Whom passkeys are made for on a developer's machine."""
_PASSWORD_SHORTEST = 8
"""NIST SP 800-63B-4 with a second factor; 15 without, by setting."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret that access tokens are signed with, under one algorithm for ever.

    Args:
        secret: At least 32 bytes, from which the key is derived; or an Ed25519 private key in PEM.
        algorithm: Fixed here, never read from a token.

    Raises:
        InvariantViolation: The secret is too short, or the PEM holds no Ed25519 key.
    """

    secret: bytes = field(repr=False)
    algorithm: Algorithm = "Ed25519"

    def __post_init__(self) -> None:
        """Refuse what could not keep tokens safe."""
        check(len(self.secret) >= _SECRET_MIN_BYTES, "a signing secret has at least 32 bytes")
        is_pem = self.secret.startswith(_PEM)
        check(not is_pem or self.algorithm == "Ed25519", "a PEM key signs with Ed25519")
        check(len(self.key) == _KEY_BYTES, "a key has 32 bytes")

    @property
    def kid(self) -> str:
        """Name of the key: public, and says nothing about the secret."""
        return derived_key(self.secret, f"kid:{self.algorithm}")[:8].hex()

    @property
    def key(self) -> bytes:
        """The 32 bytes that sign: an Ed25519 seed or an HMAC key."""
        if self.secret.startswith(_PEM):
            return _pem_seed(self.secret)
        return derived_key(self.secret, f"access-token:{self.algorithm}")


def _pem_seed(pem: bytes) -> bytes:
    private = load_pem_private_key(pem, password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise InvariantViolation("the signing key in PEM is no Ed25519 private key")
    return private.private_bytes_raw()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityConfig:
    """Settings of identity.

    Args:
        signing_keys: The first signs; all of them verify, so that keys can be changed.
        pepper: At least 32 bytes, kept outside the database. Losing it voids every password.
        issuer: The `iss` of access tokens.
        audience: Their `aud`.
        access_ttl_s: Life of an access token.
        refresh_ttl_s: Life of a session, however often it is refreshed.
        staff_session_ttl_s: The same of somebody with a role of staff, if it is less.
        staff_second_factor_required: What only staff may do takes a session that was opened with a
            second factor.
        session_idle_s: A session that is not refreshed for so long is over; None: never by that.
        refresh_grace_s: How long the answer to a refresh may be asked for again.
        password_hasher: What new password hashes are made with; others are renewed at sign-in.
        password_hasher_previous: Another kind of hash that users may still have. Then each check
            costs one of each kind, or its time would tell who has which, and who exists.
        bcrypt_cost: 12 costs about a quarter of a second. Below 10 for tests only.
        argon2_memory_kib: 19 MiB with two passes is the least that OWASP advises.
        password_min_length: Characters.
        password_workers: Threads that hash.
        password_queue: Hashes under way or waiting before more are refused.
        claims_cache_size: Verified access tokens remembered.
        revocation_poll_s: How often other processes' sign-outs are looked for.
        revocation_stale_s: Age of the last look after which nobody is let in.
        registration_ttl_s: How long the answer to a registration is kept for retries.
        verified_contact_required: Nobody signs in by password, or is paid, by an address or number
            that was not shown to be their own. Without it both tell whether somebody has it.
        sms_offered: There is a way to send SMS.
        recovery_page: Where the link in a recovery mail leads; without one it shows the token.
        brand: What apps that show codes call this deployment.
        step_up: When money asks for a fresh factor.
        relying_party: Whom passkeys are made for.
        throttles: How patient we are with those who fail.
        throttles_addresses: Addresses are slowed down too, not only attempts at one account.
        outside: Other companies that people sign in by.

    Raises:
        InvariantViolation: A value is out of range.
    """

    signing_keys: tuple[SigningKey, ...]
    pepper: bytes = field(repr=False)
    issuer: str = "guilder"
    audience: str = "guilder-api"
    access_ttl_s: int = 900
    refresh_ttl_s: int = 24 * 3600
    staff_session_ttl_s: int = 12 * 3600
    staff_second_factor_required: bool = True
    session_idle_s: int | None = None
    refresh_grace_s: int = 10
    password_hasher: PasswordAlgorithm = "bcrypt"  # noqa: S105 - the name of a method
    password_hasher_previous: PasswordAlgorithm | None = None
    bcrypt_cost: int = 12
    argon2_memory_kib: int = 19 * 1024
    password_min_length: int = 8
    password_workers: int = 2
    password_queue: int = 64
    claims_cache_size: int = 16_384
    revocation_poll_s: float = 0.5
    revocation_stale_s: float = 30.0
    registration_ttl_s: int = 48 * 3600
    verified_contact_required: bool = False
    sms_offered: bool = True
    recovery_page: str | None = None
    brand: str = "Guilder"
    step_up: StepUpPolicy = field(default_factory=StepUpPolicy)
    relying_party: RelyingParty = LOCAL_PARTY
    throttles: ThrottlePolicy = field(default_factory=ThrottlePolicy)
    throttles_addresses: bool = True
    outside: OutsideConfig = field(default_factory=OutsideConfig)

    def __post_init__(self) -> None:
        """Refuse what could not keep users safe."""
        check(self.signing_keys, "at least one signing key")
        check(
            len({key.kid for key in self.signing_keys}) == len(self.signing_keys), "one key twice"
        )
        check(len(self.pepper) >= _SECRET_MIN_BYTES, "a pepper has at least 32 bytes")
        check(self.bcrypt_cost in _BCRYPT_COSTS, "bcrypt knows costs 4 to 31")
        is_long_enough = self.password_min_length >= _PASSWORD_SHORTEST
        check(is_long_enough, "passwords of fewer than 8 characters are guessed")
        check(0 < self.access_ttl_s < self.refresh_ttl_s, "a session outlives its access tokens")
        is_idle_longer = self.session_idle_s is None or self.access_ttl_s <= self.session_idle_s
        check(is_idle_longer, "who uses a session refreshes it once per access token")

    def session_ttl(self, role: Role) -> timedelta:
        """Return the life of a session of somebody with a role."""
        staff_most = self.staff_session_ttl_s if is_staff(role) else self.refresh_ttl_s
        return timedelta(seconds=min(self.refresh_ttl_s, staff_most))

    @property
    def session_idle(self) -> timedelta | None:
        """How long a session may lie unused."""
        return None if self.session_idle_s is None else timedelta(seconds=self.session_idle_s)

    @property
    def refresh_grace(self) -> timedelta:
        """How long the answer to a refresh may be asked for again."""
        return timedelta(seconds=self.refresh_grace_s)
