"""The platform's accounts are the same accounts for ever."""

from itertools import product

from guilder.ledger.chart import AccountCode, system_account
from tests.support.books import NOON


def test_an_id_follows_from_what_the_account_is() -> None:
    made = system_account(AccountCode.GATEWAY_CLEARING, owner="simulator", asset="USD", now=NOON)
    again = system_account(AccountCode.GATEWAY_CLEARING, owner="simulator", asset="USD", now=NOON)
    assert made == again
    # Never to change: books in the world have it.
    assert str(made.id) == "060db64c-442c-8eed-ad52-0c4984f86666"


def test_each_purpose_owner_and_asset_has_its_own() -> None:
    ids = {
        system_account(code, owner=owner, asset=asset, now=NOON).id
        for code, owner, asset in product(AccountCode, ("one", "two"), ("USD", "EUR"))
    }
    assert len(ids) == len(AccountCode) * 4


def test_it_is_new_and_says_what_it_is() -> None:
    made = system_account(AccountCode.PAYOUTS_IN_TRANSIT, owner="simulator", asset="EUR", now=NOON)
    assert (made.code, made.owner, made.asset) == ("payouts_in_transit", "simulator", "EUR")
    assert (made.posted, made.sequence, made.created_at) == (0, 0, NOON)


def test_no_more_goes_out_than_came_in() -> None:
    """What is in transit is users' money; what a gateway owes us is below zero by nature."""
    transit = system_account(AccountCode.PAYOUTS_IN_TRANSIT, owner="g", asset="EUR", now=NOON)
    clearing = system_account(AccountCode.GATEWAY_CLEARING, owner="g", asset="EUR", now=NOON)
    assert (transit.no_overdraft, clearing.no_overdraft) == (True, False)
