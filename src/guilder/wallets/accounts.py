"""Which ledger account is a wallet's in a currency. Derived, so that nobody needs to look it up."""

from datetime import datetime
from functools import lru_cache
from uuid import UUID

from guilder.kernel.ids import WalletId, decode_id, derived_uuid
from guilder.ledger.chart import AccountCode
from guilder.storage.records import Account

WALLET_PREFIX = "wallet"


@lru_cache(maxsize=65_536)
def wallet_account_id(wallet_id: WalletId, asset: str) -> UUID:
    """Return the id of a wallet's account in a currency, whether it is open or not.

    Raises:
        NotFound: `wallet_id` is no wallet's id.
    """
    return derived_uuid("wallet-account", decode_id(WALLET_PREFIX, wallet_id).bytes, asset)


def wallet_account(wallet_id: WalletId, asset: str, *, now: datetime) -> Account:
    """Return a wallet's account in a currency, as it is when new.

    Raises:
        NotFound: `wallet_id` is no wallet's id.
    """
    return Account(
        id=wallet_account_id(wallet_id, asset),
        asset=asset,
        code=AccountCode.WALLET,
        owner=wallet_id,
        no_overdraft=True,
        created_at=now,
    )
