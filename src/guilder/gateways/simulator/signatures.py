"""`Simulator-Signature: t=1700000000,v1=hex,v1=hex`: HMAC-SHA-256 over `t`, a dot and the bytes of
the body.
"""

import hmac
from datetime import datetime

from guilder.gateways.errors import WebhookSignatureInvalid

HEADER = "simulator-signature"

_HEADER_MAX = 1_000
_DIGITS_MAX = 12


def sign(body: bytes, *, secrets: tuple[str, ...], now: datetime) -> str:
    """Return the header that signs `body` at `now`, once with each secret."""
    stamp = str(int(now.timestamp()))
    return ",".join([f"t={stamp}", *(f"v1={_mac(secret, stamp, body)}" for secret in secrets)])


def verify(
    header: str, body: bytes, *, secrets: tuple[str, ...], now: datetime, tolerance_s: int
) -> None:
    """Check that one of the signatures is by one of the secrets, and that it is fresh.

    Raises:
        WebhookSignatureInvalid: It is not.
    """
    stamp, signatures = _read(header)
    if abs(int(now.timestamp()) - int(stamp)) > tolerance_s:
        raise WebhookSignatureInvalid
    matches = [
        hmac.compare_digest(_mac(secret, stamp, body), given)
        for secret in secrets
        for given in signatures
    ]
    if not any(matches):
        raise WebhookSignatureInvalid


def _read(header: str) -> tuple[str, list[str]]:
    """Take a header apart into its time and its signatures."""
    stamp, signatures = "", []
    # The bound keeps a hostile header from costing more than a few digests.
    if not header.isascii() or len(header) > _HEADER_MAX:
        raise WebhookSignatureInvalid
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t":
            stamp = value
        elif name == "v1":
            signatures.append(value)
    if not stamp.isdigit() or len(stamp) > _DIGITS_MAX:
        raise WebhookSignatureInvalid
    return stamp, signatures


def _mac(secret: str, stamp: str, body: bytes) -> str:
    return hmac.digest(secret.encode(), stamp.encode() + b"." + body, "sha256").hex()
