"""Which ledger account is a wallet's in a currency. Derived, so that nobody needs to look it up."""

from datetime import datetime
from functools import lru_cache
from uuid import UUID

from guilder.kernel.errors import NotFound
from guilder.kernel.ids import WalletId, decode_id, derived_uuid
from guilder.ledger.chart import AccountCode, system_account
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


def account_fault(account: Account) -> str | None:
    """Return what is wrong with an account, if it is not the one that its id was derived for.

    Whoever gives an account to another wallet in the database, or lets it be overdrawn, is found.
    Owners that are no wallets, and codes that are not in the chart, are not known here.
    """
    try:
        expected = _derived(account)
    except NotFound:
        return f"account {account.id} belongs to {account.owner}, which is no wallet's id"
    if expected is None:
        return None
    if expected.id != account.id:
        said = f"{account.code} of {account.owner} in {account.asset}"
        return f"account {account.id} is kept as {said}, whose id is {expected.id}"
    if expected.no_overdraft != account.no_overdraft:
        return f"account {account.id} has the wrong no_overdraft for a {account.code}"
    return None


def _derived(account: Account) -> Account | None:
    """Return the account that the chart has for that code, owner and asset, as it is when new."""
    now = account.created_at
    if account.code == AccountCode.WALLET:
        if not account.owner.startswith(f"{WALLET_PREFIX}_"):
            return None
        return wallet_account(WalletId(account.owner), account.asset, now=now)
    if account.code not in set(AccountCode):
        return None
    code = AccountCode(account.code)
    return system_account(code, owner=account.owner, asset=account.asset, now=now)
