"""What is left of a user whose account is closed: ids and times, and nobody behind them."""

from datetime import datetime
from typing import Final

from msgspec.structs import replace

from guilder.identity.models import User
from guilder.identity.roles import Role

CLOSED_NAME: Final = "Closed account"
"""What others see in the place of the name."""


def erased(user: User, *, at: datetime) -> User:
    """Return the user as the closed account keeps it. Stores nothing.

    Invariants:
        Nobody can sign in as it, whatever was given out before is refused, and its address and
        number are free for others.
    """
    nobody = replace(
        user,
        name=CLOSED_NAME,
        email=None,
        email_key=None,
        email_verified_at=None,
        phone=None,
        phone_key=None,
        phone_verified_at=None,
        password_hash="",
        role=Role.USER,
        credentials_version=user.credentials_version + 1,
        closed_at=at,
        updated_at=at,
    )
    return nobody.with_rights_changed(at)
