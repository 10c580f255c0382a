"""The limits of a wallet as its tier is at this moment."""

from collections.abc import Mapping

from msgspec.structs import replace

from guilder.kernel.ids import WalletId
from guilder.storage.base import Storage
from guilder.wallets.limits import SpendingLimits
from guilder.wallets.models import Wallet
from guilder.wallets.tiers import Tier, TierLimits


class TieredLimits:
    """The deployment's limits, and beside them those of the wallet's tier.

    Invariants:
        The tier is read for each request: a change counts at once, in every process.
    """

    def __init__(
        self, base: SpendingLimits, by_tier: Mapping[Tier, TierLimits], *, storage: Storage
    ) -> None:
        """Take the limits.

        Args:
            base: For every wallet.
            by_tier: A tier that is left out has no limits of its own.
            storage: Migrated with `Wallet`.
        """
        self._base = base
        self._by_tier = dict(by_tier)
        self._wallets = storage.documents(Wallet)

    async def current(self, wallet_id: WalletId) -> SpendingLimits:
        """Return what holds for a wallet now. One that there is not is of the lowest tier."""
        wallet = await self._wallets.get(wallet_id)
        tier = Tier.NONE if wallet is None else wallet.tier
        return replace(self._base, tier=self._by_tier.get(tier))
