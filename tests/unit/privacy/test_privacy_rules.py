"""What stands in the way of closing an account."""

from typing import Any

import pytest
from msgspec.structs import replace

from guilder.kernel.ids import WalletId, new_id
from guilder.privacy.errors import AccountInUse
from guilder.privacy.rules import refuse_in_use
from guilder.wallets.accounts import wallet_account
from tests.support.holdings import NOON

EMPTY = wallet_account(WalletId(new_id("wallet")), "USD", now=NOON)


def test_an_empty_wallet_may_be_closed() -> None:
    refuse_in_use([EMPTY, replace(EMPTY, asset="EUR")], [], [])


@pytest.mark.parametrize(
    ("standing", "codes"),
    [
        ({"posted": 1}, {"money_left"}),
        ({"posted": 5, "pending_out": 5}, {"money_held"}),
        ({"posted": 5, "pending_out": 2}, {"money_left", "money_held"}),
        ({"pending_in": 3}, {"money_expected"}),
    ],
)
def test_whatever_stands_there_is_named(standing: dict[str, Any], codes: set[str]) -> None:
    with pytest.raises(AccountInUse) as refused:
        refuse_in_use([EMPTY, replace(EMPTY, **standing)], [], [])
    assert {each.code for each in refused.value.fields} == codes
    assert {each.pointer for each in refused.value.fields} == {"/balances/USD"}
    assert refused.value.code == "account_in_use"


def test_at_most_so_many_things_are_named() -> None:
    many = [replace(EMPTY, posted=1)] * 100
    with pytest.raises(AccountInUse) as refused:
        refuse_in_use(many, [], [])
    assert len(refused.value.fields) == 20
