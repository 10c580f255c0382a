"""A wallet's accounts are the same accounts for ever."""

from itertools import product

import pytest

from guilder.kernel.errors import NotFound
from guilder.kernel.ids import WalletId
from guilder.wallets.accounts import wallet_account, wallet_account_id
from tests.support.books import NOON

ONE = WalletId("wallet_01h455vb4pex5vsknk084sn02q")
TWO = WalletId("wallet_01h2xcejqtf2nbrexx3vqjhp41")


def test_an_id_follows_from_wallet_and_currency() -> None:
    # Never to change: books in the world have it.
    assert str(wallet_account_id(ONE, "USD")) == "dc4c01bc-e583-8854-9034-cf2207266638"


def test_each_wallet_and_currency_has_its_own() -> None:
    assert len({wallet_account_id(*pair) for pair in product((ONE, TWO), ("USD", "EUR"))}) == 4


def test_it_is_the_wallets_and_never_overdrawn() -> None:
    made = wallet_account(ONE, "EUR", now=NOON)
    assert (made.id, made.owner, made.asset) == (wallet_account_id(ONE, "EUR"), ONE, "EUR")
    assert (made.code, made.no_overdraft, made.posted) == ("wallet", True, 0)
    assert made.created_at == NOON


@pytest.mark.parametrize("text", ["", "wallet_", ONE.replace("wallet", "user"), ONE + "q", "x"])
def test_what_is_no_wallet_has_none(text: str) -> None:
    with pytest.raises(NotFound):
        wallet_account_id(WalletId(text), "USD")
