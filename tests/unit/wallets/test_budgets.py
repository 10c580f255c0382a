"""Which part of a budget a transfer must stay within."""

from guilder.kernel.ids import WalletId
from guilder.ledger.limits import Limit, Window
from guilder.wallets.limits import OTHER_CURRENCY, SpendingLimits, budget_in

WALLET = WalletId("wallet_1")
USD = Limit(name="api_key_day", subject="key_1", maximum=5, window=Window.DAY, asset="USD")
ANY = Limit(name="api_key_day", subject="key_1", maximum=9, window=Window.DAY)


def test_without_a_budget_anything_may_be_spent() -> None:
    assert budget_in((), "USD") == ()


def test_a_limit_is_for_its_own_currency() -> None:
    assert budget_in((USD, ANY), "USD") == (USD, ANY)


def test_a_currency_without_a_budget_cannot_be_spent_where_others_have_one() -> None:
    nothing, *others = budget_in((USD, ANY), "EUR")
    assert (nothing.name, nothing.subject, nothing.maximum) == (OTHER_CURRENCY, "key_1", 0)
    assert others == [ANY]


def test_the_wallets_own_limits_hold_too() -> None:
    limits = SpendingLimits(daily={"USD": 100})
    assert [each.maximum for each in limits.of(WALLET, "USD", (USD,))] == [5, 100]
