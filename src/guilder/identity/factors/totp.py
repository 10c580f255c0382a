"""Codes of an app (RFC 6238): SHA-1, 6 digits, 30 seconds, as every app understands them."""

import hmac
import io
import re
from urllib.parse import quote, urlencode

import pyotp
import segno
from msgspec import Struct
from msgspec.structs import replace

from guilder.identity.factors import rules
from guilder.identity.factors.errors import FactorWrong
from guilder.identity.factors.models import TotpFactor
from guilder.kernel.clock import Clock
from guilder.kernel.ids import UserId
from guilder.storage.base import Storage, Transaction
from guilder.storage.errors import VersionConflict
from guilder.vault.vault import Vault, context_of

DIGITS = 6
_SECRET_LENGTH = 32
"""Characters of base32: 160 bits, the length of SHA-1's output (RFC 4226, section 4)."""
_CODE = re.compile(r"[0-9]{6}", re.ASCII)
_TRIES = 8


class Enrolment(Struct, frozen=True, kw_only=True):
    """What an app is set up with, shown once.

    Args:
        secret: Base32, to type in.
        uri: `otpauth://`, to open in an app on the same device.
        qr_svg: The URI as a QR code: an SVG document.
    """

    secret: str
    uri: str
    qr_svg: str

    def __repr__(self) -> str:
        """Return nothing secret."""
        return "Enrolment()"


class Totp:
    """Apps that show codes.

    Invariants:
        A code is taken once, also of many who give it at once: the step it belongs to is stored
        under the version that was read.
    """

    def __init__(self, storage: Storage, *, vault: Vault, clock: Clock, issuer: str) -> None:
        """Take what apps need; does nothing yet.

        Args:
            storage: Migrated with `models.MODELS`.
            vault: Seals secrets.
            clock: Tells which code is shown.
            issuer: What an app calls us.
        """
        self._factors = storage.documents(TotpFactor)
        self._vault = vault
        self._clock = clock
        self._issuer = issuer

    async def is_set(self, user_id: UserId) -> bool:
        """Tell whether the user has confirmed an app."""
        factor = await self._factors.get(user_id)
        return factor is not None and factor.confirmed_at is not None

    async def get(self, user_id: UserId) -> TotpFactor | None:
        """Return the user's app, confirmed or not."""
        return await self._factors.get(user_id)

    async def enrol(self, transaction: Transaction, user_id: UserId, *, name: str) -> Enrolment:
        """Store a new secret in the place of one that was never confirmed.

        Args:
            transaction: In which it is stored.
            user_id: Whose app it is.
            name: What the app calls the account.

        Raises:
            VersionConflict, DuplicateDocument: Another one is being set up in this moment.
        """
        factors = transaction.documents(TotpFactor)
        earlier = await factors.get(user_id)
        now = self._clock()
        secret = pyotp.random_base32(_SECRET_LENGTH)
        fresh = TotpFactor(
            id=user_id,
            secret=self._vault.seal(secret, context=_place(user_id)),
            created_at=now,
            updated_at=now,
        )
        if earlier is None:
            await factors.insert(fresh)
        else:
            await factors.replace(replace(fresh, version=earlier.version))
        uri = _uri(secret, name=name, issuer=self._issuer)
        return Enrolment(secret=secret, uri=uri, qr_svg=_qr(uri))

    async def take(self, user_id: UserId, code: str, *, is_confirmed: bool = True) -> None:
        """Use the code that the user's app shows.

        Args:
            user_id: Whose app it is.
            code: As typed; spaces do not matter.
            is_confirmed: Whether the app was confirmed before, or is to be.

        Raises:
            FactorWrong: Another code, one that was taken, or no such app.
        """
        for _ in range(_TRIES):
            factor = await self._factors.get(user_id)
            if factor is None or (factor.confirmed_at is not None) is not is_confirmed:
                raise FactorWrong
            step = self._step_of(factor, code)
            if step is None:
                raise FactorWrong
            try:
                await self._factors.replace(
                    replace(factor, last_step=step, updated_at=self._clock())
                )
            except VersionConflict:
                continue
            return
        raise FactorWrong

    async def confirm(self, transaction: Transaction, user_id: UserId) -> None:
        """Let an app count from now on.

        Raises:
            FactorWrong: There is none, or it was confirmed already.
            VersionConflict: It was changed in this moment.
        """
        factors = transaction.documents(TotpFactor)
        factor = await factors.get(user_id)
        if factor is None or factor.confirmed_at is not None:
            raise FactorWrong
        now = self._clock()
        await factors.replace(replace(factor, confirmed_at=now, updated_at=now))

    async def remove(self, transaction: Transaction, user_id: UserId) -> bool:
        """Forget the user's app; tell whether there was one."""
        return await transaction.documents(TotpFactor).delete(user_id)

    def _step_of(self, factor: TotpFactor, code: str) -> int | None:
        """Return the step whose code it is, if it may be taken; the latest one that fits."""
        given = code[:32].replace(" ", "")
        if not _CODE.fullmatch(given):
            return None
        secret = self._vault.open(factor.secret, context=_place(factor.id))
        steps = rules.accepted_steps(int(self._clock().timestamp()), last_step=factor.last_step)
        found = None
        for step in steps:
            if hmac.compare_digest(code_at(secret, step).encode(), given.encode()):
                found = step
        return found


def code_at(secret: str, step: int) -> str:
    """Return the code that an app shows in a step.

    Source:
        RFC 6238, appendix B, whose eight digits end in these six.

    >>> code_at("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 1)
    '287082'
    """
    return pyotp.HOTP(secret, digits=DIGITS).at(step)


def _place(user_id: str) -> str:
    return context_of(TotpFactor.collection, user_id, "secret")


def _uri(secret: str, *, name: str, issuer: str) -> str:
    """Return what apps read; the issuer twice, for older and newer ones."""
    label = f"{quote(issuer, safe='')}:{quote(name, safe='@')}"
    said = {"secret": secret, "issuer": issuer, "algorithm": "SHA1", "digits": DIGITS}
    return f"otpauth://totp/{label}?{urlencode({**said, 'period': rules.STEP_S}, quote_via=quote)}"


def _qr(uri: str) -> str:
    out = io.BytesIO()
    segno.make_qr(uri, error="m").save(out, kind="svg", scale=6, light="white", title="QR code")
    return out.getvalue().decode()
