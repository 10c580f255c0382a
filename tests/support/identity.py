"""Identity for tests: a clock that is moved by hand, quick hashing, and people who apply."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from guilder.audit.models import MODELS as AUDIT_MODELS
from guilder.identity.config import IdentityConfig, SigningKey
from guilder.identity.factors.models import MODELS as FACTOR_MODELS
from guilder.identity.factors.passkey_models import MODELS as PASSKEY_MODELS
from guilder.identity.models import MODELS
from guilder.identity.outside.models import MODELS as OUTSIDE_MODELS
from guilder.identity.registration import Application, OnRegistered
from guilder.identity.service import IdentityService
from guilder.identity.throttle_rules import ThrottlePolicy
from guilder.notifications.models import MODELS as MESSAGE_MODELS
from guilder.storage.base import Storage
from guilder.vault.vault import Vault, VaultKey

PASSWORD = "four unlikely words together"
SIGNING_KEY = SigningKey(b"signing secret for tests, 32 bytes or more", "HS256")

PATIENT = ThrottlePolicy(free=1_000, window_max=1_000, consecutive_max=1_000, address_free=1_000)
"""For tests that guess more often than anybody may."""

VAULT_SECRET = b"vault secret for tests, 32 bytes or more"
INDEX_SECRET = b"index secret for tests, 32 bytes or more"

_numbers = itertools.count(1)


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def move(self, **by: float) -> None:
        """Let time pass, or go back."""
        self.now += timedelta(**by)


def quick_config(**changes: object) -> IdentityConfig:
    """Return settings whose bcrypt takes about a millisecond."""
    values: dict[str, object] = {
        "signing_keys": (SIGNING_KEY,),
        "pepper": b"pepper for tests, which has 32 bytes or more",
        "bcrypt_cost": 4,
        "password_queue": 512,
        **changes,
    }
    return IdentityConfig(**values)  # type: ignore[arg-type]


def quick_vault() -> Vault:
    """Return a vault with a key of its own."""
    return Vault([VaultKey(VAULT_SECRET)], index_secret=INDEX_SECRET)


def application(**changes: object) -> Application:
    """Return an application of somebody new."""
    values: dict[str, object] = {
        "name": "First Payer",
        "email": f"payer-{next(_numbers)}@example.com",
        "phone": None,
        "password": PASSWORD,
        **changes,
    }
    return Application(**values)  # type: ignore[arg-type]


STORED = (
    *MODELS,
    *FACTOR_MODELS,
    *PASSKEY_MODELS,
    *OUTSIDE_MODELS,
    *AUDIT_MODELS,
    *MESSAGE_MODELS,
)
"""Everything that the service reads or writes."""


@contextlib.asynccontextmanager
async def identity_service(
    storage: Storage,
    clock: HandClock,
    *,
    on_registered: Sequence[OnRegistered] = (),
    **changes: object,
) -> AsyncIterator[IdentityService]:
    """Lend a started service on a storage that has its collections."""
    await storage.migrate(STORED)
    config = quick_config(**changes)
    service = IdentityService(
        storage=storage,
        clock=clock,
        config=config,
        vault=quick_vault(),
        on_registered=on_registered,
    )
    await service.start()
    try:
        yield service
    finally:
        await service.stop()
