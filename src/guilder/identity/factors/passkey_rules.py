"""Decisions about passkeys without I/O: whom they are for, and whether one may have been copied."""

from dataclasses import dataclass
from typing import Final

from guilder.kernel.errors import check
from guilder.kernel.origins import may_ask_for

PASSKEYS_MAX: Final = 20
"""Passkeys of one user: more than anybody has devices."""
NAME_MAX: Final = 60
CREDENTIAL_ID_MAX: Final = 1_023
"""Bytes; WebAuthn Level 3, 7.1 step 26."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Whom passkeys are made for. Changing `id` makes every passkey there is useless.

    Args:
        id: A domain name. Passkeys work under it and its subdomains, and nowhere else.
        name: What people are shown.
        origins: Where pages may ask for a passkey: `https://pay.example.com`.

    Raises:
        InvariantViolation: No origin, or one for which browsers would refuse the id.
    """

    id: str
    name: str
    origins: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what could never work, or would let others in."""
        check(self.origins, "passkeys need an origin")
        for origin in self.origins:
            check(may_ask_for(self.id, origin), f"{origin} is no origin of {self.id}")


def may_be_copied(*, stored: int, shown: int) -> bool:
    """Tell whether a counter says that there are two of a passkey.

    Args:
        stored: What the passkey showed last; 0 if it does not count.
        shown: What it shows now.

    Source:
        WebAuthn Level 3, 6.1.1: one that counts shows more each time; 0 and 0 is one that does not.
    """
    return (stored > 0 or shown > 0) and shown <= stored
