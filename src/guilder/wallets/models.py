"""The stored record of a wallet. Its balances are not here: they are in the ledger."""

from typing import ClassVar

from guilder.kernel.ids import UserId
from guilder.storage.base import Document
from guilder.wallets.tiers import Tier


class Wallet(Document, frozen=True, kw_only=True):
    """What a user holds money in: a ledger account per currency, opened when first needed."""

    collection: ClassVar[str] = "wallets"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("user_id",),)

    user_id: UserId
    default_currency: str
    """ISO 4217 code that `balance` is shown in."""
    is_frozen: bool = False
    """Its owner has stopped what leaves it, in every currency, also one that comes later."""
    is_closed: bool = False
    """Nothing moves on it any more."""
    tier: Tier = Tier.NONE
    """What has been proved about its owner: decides what may leave it."""
