"""A wallet's accounts are the same accounts for ever."""

from itertools import product

import pytest
from msgspec.structs import replace

from guilder.kernel.errors import NotFound
from guilder.kernel.ids import WalletId
from guilder.ledger.chart import AccountCode, system_account
from guilder.storage.records import Account
from guilder.wallets.accounts import account_fault, wallet_account, wallet_account_id
from tests.support.books import NOON, account_id

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


SYSTEM = [
    system_account(code, owner="simulator", asset="USD", now=NOON)
    for code in AccountCode
    if code is not AccountCode.WALLET
]
OURS = [wallet_account(ONE, "USD", now=NOON), *SYSTEM]


@pytest.mark.parametrize("own", OURS, ids=lambda each: str(each.code))
def test_whose_an_account_is_follows_from_its_id(own: Account) -> None:
    assert account_fault(own) is None
    assert account_fault(replace(own, posted=7, is_frozen=True, is_closed=True)) is None
    for changed in (
        {"owner": TWO if own.owner == ONE else "another"},
        {"asset": "EUR"},
        {"id": account_id("another")},
    ):
        assert "whose id is" in (account_fault(replace(own, **changed)) or "")
    other = replace(own, no_overdraft=not own.no_overdraft)
    assert "no_overdraft" in (account_fault(other) or "")


def test_a_code_is_part_of_it() -> None:
    clearing = next(each for each in SYSTEM if each.code == "gateway_clearing")
    assert "whose id is" in (account_fault(replace(clearing, code="payouts_in_transit")) or "")
    assert "no wallet's id" in (account_fault(replace(OURS[0], owner="wallet_x")) or "")


def test_what_is_not_ours_is_not_judged() -> None:
    assert account_fault(replace(OURS[0], code="fees")) is None
    assert account_fault(replace(OURS[0], owner="somebody")) is None
