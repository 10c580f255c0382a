"""Money, by tables; its algebra is in tests/properties."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from guilder.kernel.currency import currency
from guilder.kernel.errors import InvariantViolation, Kind
from guilder.kernel.money import (
    MAX_MINOR,
    MIN_MINOR,
    AmountOutOfRange,
    CurrencyMismatch,
    InvalidWeights,
    Money,
)

USD = currency("USD")
EUR = currency("EUR")


def usd(amount_minor: int) -> Money:
    return Money(amount_minor, USD)


@pytest.mark.parametrize("amount", [True, 12.0, "12", None])
def test_asvs_15_3_5_an_amount_is_an_int_and_nothing_like_it(amount: Any) -> None:
    with pytest.raises(InvariantViolation, match=r"^an amount is an int$"):
        Money(amount, USD)


@pytest.mark.parametrize("amount", [MIN_MINOR, -1, 0, 1, MAX_MINOR])
def test_an_amount_of_int64_is_kept(amount: int) -> None:
    assert usd(amount).amount_minor == amount


@pytest.mark.parametrize("amount", [MIN_MINOR - 1, MAX_MINOR + 1, 10**100])
def test_asvs_1_4_2_an_amount_beyond_int64_is_refused(amount: int) -> None:
    with pytest.raises(AmountOutOfRange):
        usd(amount)


def test_the_bounds_are_those_of_int64() -> None:
    assert (MIN_MINOR, MAX_MINOR) == (-9223372036854775808, 9223372036854775807)


@pytest.mark.parametrize(
    "reckon",
    [
        lambda: usd(MAX_MINOR) + usd(1),
        lambda: usd(MIN_MINOR) - usd(1),
        lambda: -usd(MIN_MINOR),
        lambda: usd(MAX_MINOR) * 2,
    ],
)
def test_a_result_beyond_int64_is_refused(reckon: Callable[[], Money]) -> None:
    with pytest.raises(AmountOutOfRange):
        reckon()


def test_amounts_reckon() -> None:
    assert usd(1250) + usd(5) == usd(1255)
    assert usd(5) - usd(1250) == usd(-1245)
    assert -usd(5) == usd(-5)
    assert usd(5) * 3 == 3 * usd(5) == usd(15)
    assert Money.zero(USD) == usd(0)


def test_amounts_compare() -> None:
    assert usd(1) < usd(2)
    assert not usd(2) < usd(2)
    assert usd(2) <= usd(2)
    assert not usd(3) <= usd(2)
    assert usd(3) > usd(2)
    assert not usd(2) > usd(2)
    assert usd(2) >= usd(2)
    assert not usd(1) >= usd(2)


def test_only_zero_is_false() -> None:
    assert not usd(0)
    assert usd(1)
    assert usd(-1)


@pytest.mark.parametrize(
    "reckon",
    [
        lambda: usd(1) + Money(1, EUR),
        lambda: usd(1) - Money(1, EUR),
        lambda: usd(1) < Money(1, EUR),
        lambda: usd(1) <= Money(1, EUR),
        lambda: usd(1) > Money(1, EUR),
        lambda: usd(1) >= Money(1, EUR),
    ],
)
def test_two_currencies_do_not_reckon(reckon: Callable[[], object]) -> None:
    with pytest.raises(CurrencyMismatch, match=r"USD|EUR") as caught:
        reckon()

    assert caught.value.kind is Kind.INVALID


def test_equal_amounts_of_two_currencies_are_unequal() -> None:
    assert Money(0, USD) != Money(0, EUR)
    assert len({Money(0, USD), Money(0, EUR), usd(0)}) == 2


@pytest.mark.parametrize(
    "reckon",
    [
        lambda money: money / 2,
        lambda money: money // 2,
        float,
        int,
        round,
        lambda money: money * 1.5,
        lambda money: money * True,
        lambda money: money * money,
        lambda money: sum([money]),
    ],
)
def test_money_has_no_division_and_no_float(reckon: Callable[[Any], object]) -> None:
    with pytest.raises((TypeError, AttributeError)):
        reckon(usd(100))


def test_money_cannot_be_changed() -> None:
    money: Any = usd(1)

    with pytest.raises(dataclasses.FrozenInstanceError):
        money.amount_minor = 2
    assert not hasattr(money, "__dict__")


@pytest.mark.parametrize(
    ("amount", "weights", "shares"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (5, [3, 7], [2, 3]),
        (5, [7, 3], [4, 1]),
        (1, [0, 1, 1], [0, 1, 0]),
        (2, [0, 1, 0, 1, 1], [0, 1, 0, 1, 0]),
        (10, [1, 2, 3], [2, 3, 5]),
        (0, [1, 2], [0, 0]),
        (7, [5], [7]),
        (3, [1] * 5, [1, 1, 1, 0, 0]),
        (MAX_MINOR, [1, 1], [2**62, 2**62 - 1]),
        (MIN_MINOR, [1], [MIN_MINOR]),
    ],
)
def test_split_shares_by_weight_and_ties_go_to_the_earlier(
    amount: int, weights: list[int], shares: list[int]
) -> None:
    assert usd(amount).split(weights) == tuple(usd(share) for share in shares)


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [1, -1], [-1, 3], [1, 0.5], [True], ["1"]])
def test_split_refuses_weights_that_are_none(weights: list[Any]) -> None:
    with pytest.raises(InvalidWeights):
        usd(100).split(weights)


@pytest.mark.parametrize(
    ("amount", "code", "text"),
    [
        (1250, "USD", "12.50 USD"),
        (5, "USD", "0.05 USD"),
        (0, "USD", "0.00 USD"),
        (-5, "USD", "-0.05 USD"),
        (-1250, "USD", "-12.50 USD"),
        (1250, "JPY", "1250 JPY"),
        (-3, "JPY", "-3 JPY"),
        (1, "KWD", "0.001 KWD"),
        (12345, "CLF", "1.2345 CLF"),
        (MAX_MINOR, "USD", "92233720368547758.07 USD"),
        (MIN_MINOR, "USD", "-92233720368547758.08 USD"),
    ],
)
def test_money_is_written_by_its_exponent(amount: int, code: str, text: str) -> None:
    assert str(Money(amount, currency(code))) == text
