"""The chart of accounts: the platform's own accounts, and how account ids are derived.

An account's id follows from what it is, so that nobody needs to look one up, and opening it twice
opens it once.
"""

from datetime import datetime
from enum import StrEnum

from guilder.kernel.ids import derived_uuid
from guilder.storage.records import Account


class AccountCode(StrEnum):
    """What an account is for."""

    WALLET = "wallet"
    """A user's money: our liability, never below zero."""
    GATEWAY_CLEARING = "gateway_clearing"
    """What a gateway owes us (negative) or we owe it, until it settles: returns to zero."""
    PAYOUTS_IN_TRANSIT = "payouts_in_transit"
    """Left a wallet, not yet confirmed by the gateway: the sum of open payouts."""
    MARKS = "marks"
    """Notes that something will not be paid: nothing ever stands here. See `ledger/marks.py`."""


def system_account(code: AccountCode, *, owner: str, asset: str, now: datetime) -> Account:
    """Return the platform's account for a purpose, as it is when new.

    Args:
        owner: What it is kept for, such as the name of a gateway.
        asset: ISO 4217 code or declared asset.
    """
    return Account(
        id=derived_uuid("system-account", code, owner, asset),
        asset=asset,
        code=code,
        owner=owner,
        no_overdraft=code is AccountCode.PAYOUTS_IN_TRANSIT,
        created_at=now,
    )
