"""Trusted devices: where the second factor was given, it is not asked for at the next sign-in.

It is asked for all the same before something that matters: a step-up knows no trusted devices.
A device shows itself by the token that every sign-in gives it; here it is noted which of them are
trusted.
"""

import hashlib
from datetime import timedelta

from msgspec.structs import replace

from guilder.identity.devices import Device
from guilder.identity.factors.models import TrustedDevice
from guilder.identity.models import User
from guilder.kernel.clock import Clock
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import UserId, decode_id, new_id
from guilder.storage.base import Range, Storage, Transaction

TRUST = timedelta(days=30)
MOST = 20
"""Per user: of more, the oldest are trusted no longer."""
_PREFIX = "trusted_device"


class TrustedDevices:
    """Devices on which a second factor was given.

    Invariants:
        Known by 256 random bits, stored as SHA-256. Trusted by one user, for 30 days, and until the
        password or a factor changes.
    """

    def __init__(self, storage: Storage, *, clock: Clock) -> None:
        """Take what trust needs; does nothing yet."""
        self._devices = storage.documents(TrustedDevice)
        self._clock = clock

    async def trust(self, user: User, token: str, device: Device) -> None:
        """Trust a device from now on.

        Args:
            user: Who trusts it, and has just given a second factor on it.
            token: The device's own, as the sign-in has given it.
            device: What it says about itself.
        """
        now = self._clock()
        known = await self._devices.find_one({"token_hash": _hash(user.id, token)})
        fresh = TrustedDevice(
            id=new_id(_PREFIX),
            user_id=user.user_id,
            token_hash=_hash(user.id, token),
            device=device.words,
            credentials_version=user.credentials_version,
            expires_at=now + TRUST,
            created_at=now,
            updated_at=now,
        )
        if known is None:
            await self._devices.insert(fresh)
        else:
            await self._devices.replace(replace(fresh, id=known.id, version=known.version))
        for each in (await self._newest(user.user_id))[MOST:]:
            await self._devices.delete(each.id)

    async def is_trusted(self, user: User, device: Device) -> bool:
        """Tell whether a request comes from a device that the user trusts."""
        for token in device.tokens:
            known = await self._devices.find_one({"token_hash": _hash(user.id, token)})
            if known is not None and self._is_good(known, user):
                return True
        return False

    async def of(self, user: User) -> list[TrustedDevice]:
        """Return the user's trusted devices, newest first."""
        found = await self._newest(user.user_id)
        return [each for each in found if self._is_good(each, user)][:MOST]

    async def forget(self, transaction: Transaction, user_id: UserId, device_id: str) -> None:
        """Trust one of the user's devices no longer.

        Raises:
            NotFound: There is none, or it is another's.
        """
        decode_id(_PREFIX, device_id)
        devices = transaction.documents(TrustedDevice)
        device = await devices.get(device_id)
        if device is None or device.user_id != user_id or not await devices.delete(device_id):
            raise NotFound

    async def _newest(self, user_id: UserId) -> list[TrustedDevice]:
        return await self._devices.page(
            {"user_id": user_id},
            within=Range(field="created_at"),
            descending=True,
            limit=2 * MOST,
        )

    def _is_good(self, device: TrustedDevice, user: User) -> bool:
        is_current = device.credentials_version == user.credentials_version
        return is_current and self._clock() < device.expires_at


def _hash(user_id: str, token: str) -> str:
    return hashlib.sha256(f"{user_id}:{token}".encode("utf-8", "replace")).hexdigest()
