"""Hashes passwords: NFKC, then a keyed SHA-256, then bcrypt or argon2id, in threads of its own.

The keyed hash makes 44 ASCII characters of any password, so bcrypt's limit of 72 bytes cuts nothing
off, and a stolen table is useless without the pepper, which is not in the database.
"""

import asyncio
import base64
import hashlib
import hmac
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from guilder.identity import rules
from guilder.identity.config import IdentityConfig
from guilder.identity.errors import PasswordChecksBusy
from guilder.identity.password_hashers import PasswordHashers
from guilder.identity.password_rules import password_problem
from guilder.kernel.errors import FieldError
from guilder.vault.vault import derived_key

T = TypeVar("T")


class Passwords:
    """Hashes and compares passwords, never on the event loop.

    Invariants:
        `hash` and `verify` cost the same whatever the outcome: one hash, or one of each kind that
        users have. At most `password_workers` run and `password_queue` run or wait at a time.
    """

    def __init__(self, config: IdentityConfig) -> None:
        """Start the threads on first use."""
        self._key = derived_key(config.pepper, "password")
        self._hashers = PasswordHashers(
            config.password_hasher,
            previous=config.password_hasher_previous,
            bcrypt_cost=config.bcrypt_cost,
            argon2_memory_kib=config.argon2_memory_kib,
        )
        self._pool = ThreadPoolExecutor(config.password_workers, thread_name_prefix="password")
        self._places = threading.BoundedSemaphore(config.password_queue)
        self._min_length = config.password_min_length

    async def problem(self, password: str, context: tuple[str, ...]) -> FieldError | None:
        """Return why a new password is refused, or None; estimated in a thread, for up to 70 ms."""
        return await self._run(
            lambda: password_problem(password, min_length=self._min_length, context=context)
        )

    async def hash(self, password: str, *, salt: str | None = None) -> str:
        """Return the hash of a password.

        Args:
            password: As typed, already found usable.
            salt: `salt_of` an earlier hash, to compare with it; new if None.

        Raises:
            PasswordChecksBusy: Too many are waiting.
        """
        return await self._run(lambda: self._hashers.hash(self._peppered(password), salt=salt))

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Tell whether a password is the one that was hashed; no password is behind None.

        Raises:
            PasswordChecksBusy: Too many are waiting.
        """
        return await self._run(
            lambda: self._hashers.verify(self._peppered(password), password_hash)
        )

    def needs_rehash(self, password_hash: str) -> bool:
        """Tell whether a hash was made in another way, or at another cost, than today's."""
        return self._hashers.needs_rehash(password_hash)

    def close(self) -> None:
        """Let the threads go; hashes that wait are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _peppered(self, password: str) -> bytes:
        normal = rules.normal_password(password).encode()
        return base64.b64encode(hmac.digest(self._key, normal, hashlib.sha256))

    async def _run(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise PasswordChecksBusy
        future = self._pool.submit(work)
        # When the thread is done, not when the waiting request is: one that went away still costs.
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)
