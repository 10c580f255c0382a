"""Companies that look at documents: the port, and a simulated one for development and tests."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from guilder.kernel.errors import NotFound
from guilder.kyc.errors import CallbackInvalid
from guilder.kyc.rules import DocumentState

REASON_MAX: Final = 200
_HEADER_MAX: Final = 200
_STAMP_DIGITS_MAX: Final = 12


class Finding(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a provider has found.

    Args:
        document_id: Ours.
        state: `in_review`, `approved` or `refused`.
        reason: Why it is refused, for its owner.
    """

    document_id: str
    state: DocumentState
    reason: str | None = None


class KycProvider(Protocol):
    """A company that keeps documents and says what they prove."""

    @property
    def name(self) -> str:
        """Its name: part of the address that its callbacks go to."""

    def finding(self, headers: Mapping[str, str], raw_body: bytes, now: datetime) -> Finding:
        """Return what a callback says, once it is proved that the provider sends it.

        Raises:
            CallbackInvalid: It is forged, stale or unreadable.
        """


class Providers:
    """Those that are set up, by name."""

    def __init__(self, providers: Iterable[KycProvider] = ()) -> None:
        self._by_name = {each.name: each for each in providers}

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(sorted(self._by_name))

    def pick(self, name: str) -> KycProvider:
        """Return a provider.

        Raises:
            NotFound: None of that name is set up.
        """
        found = self._by_name.get(name)
        if found is None:
            raise NotFound
        return found


class SimulatedProvider:
    """A provider that signs with a secret: `Kyc-Signature: t=1700000000,v1=hex`.

    HMAC-SHA-256 over the time, a dot and the bytes of the body.
    """

    HEADER: Final = "kyc-signature"

    def __init__(self, secret: bytes, *, name: str = "simulator", tolerance_s: int = 300) -> None:
        """Take the shared secret, and how old a signature may be."""
        self._secret = secret
        self._name = name
        self._tolerance_s = tolerance_s

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    def signed(self, finding: Finding, *, now: datetime) -> tuple[dict[str, str], bytes]:
        """Return headers and body of a callback: the company's side."""
        body = msgspec.json.encode(finding)
        stamp = str(int(now.timestamp()))
        return {self.HEADER: f"t={stamp},v1={self._mac(stamp, body)}"}, body

    def finding(self, headers: Mapping[str, str], raw_body: bytes, now: datetime) -> Finding:
        """Return what a callback says: our side. See `KycProvider`."""
        header = headers.get(self.HEADER, "")
        if len(header) > _HEADER_MAX or not header.isascii():
            raise CallbackInvalid
        first, _, second = header.partition(",")
        stamp, given = first.removeprefix("t="), second.removeprefix("v1=")
        if not stamp.isdigit() or len(stamp) > _STAMP_DIGITS_MAX:
            raise CallbackInvalid
        is_genuine = hmac.compare_digest(self._mac(stamp, raw_body), given)
        if not is_genuine or abs(int(now.timestamp()) - int(stamp)) > self._tolerance_s:
            raise CallbackInvalid
        try:
            finding = msgspec.json.decode(raw_body, type=Finding)
        except msgspec.MsgspecError:
            raise CallbackInvalid from None
        if finding.state is DocumentState.SUBMITTED or len(finding.reason or "") > REASON_MAX:
            raise CallbackInvalid
        return finding

    def _mac(self, stamp: str, body: bytes) -> str:
        said = stamp.encode() + b"." + body
        return hmac.digest(self._secret, said, hashlib.sha256).hex()
