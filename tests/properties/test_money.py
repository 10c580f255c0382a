"""Laws of money: nothing is lost, nothing is made."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guilder.kernel.currency import Currency, currencies, currency
from guilder.kernel.money import MAX_MINOR, MIN_MINOR, AmountOutOfRange, Money

USD = currency("USD")
BOUNDS = [MIN_MINOR, MIN_MINOR + 1, -1, 0, 1, MAX_MINOR - 1, MAX_MINOR]
amounts = st.integers(MIN_MINOR, MAX_MINOR) | st.sampled_from(BOUNDS) | st.integers(-1000, 1000)
halves = st.integers(-(2**62), 2**62 - 1)
weight_lists = st.lists(st.integers(0, 10) | st.integers(0, 2**70), min_size=1, max_size=20).filter(
    any
)


@given(amount=amounts, weights=weight_lists)
def test_split_loses_nothing_and_is_fair(amount: int, weights: list[int]) -> None:
    shares = [share.amount_minor for share in Money(amount, USD).split(weights)]

    assert len(shares) == len(weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - Fraction(amount * weight, sum(weights))) < 1
        assert weight or share == 0


@given(amount=amounts.filter(lambda amount: amount != MIN_MINOR), weights=weight_lists)
def test_a_split_is_reversed_share_by_share(amount: int, weights: list[int]) -> None:
    money = Money(amount, USD)

    assert (-money).split(weights) == tuple(-share for share in money.split(weights))


@given(amount=amounts, count=st.integers(1, 50))
def test_equal_weights_differ_by_at_most_one_unit(amount: int, count: int) -> None:
    shares = [abs(share.amount_minor) for share in Money(amount, USD).split([1] * count)]

    assert shares == sorted(shares, reverse=True)
    assert shares[0] - shares[-1] <= 1


@given(a=halves, b=halves)
def test_subtracting_takes_back_what_was_added(a: int, b: int) -> None:
    first, second = Money(a, USD), Money(b, USD)

    assert first + second - second == first
    assert first + second == second + first
    assert first - second == -(second - first)
    assert first + Money.zero(USD) == first


@given(a=amounts, b=amounts)
def test_a_sum_is_exact_or_refused(a: int, b: int) -> None:
    if MIN_MINOR <= a + b <= MAX_MINOR:
        assert (Money(a, USD) + Money(b, USD)).amount_minor == a + b
    else:
        with pytest.raises(AmountOutOfRange):
            Money(a, USD) + Money(b, USD)


@given(a=st.integers(-(10**9), 10**9), factor=st.integers(0, 50))
def test_a_multiple_is_a_repeated_sum(a: int, factor: int) -> None:
    total = Money.zero(USD)
    for _ in range(factor):
        total += Money(a, USD)

    assert Money(a, USD) * factor == factor * Money(a, USD) == total


@given(a=amounts, b=amounts)
def test_order_is_that_of_the_amounts(a: int, b: int) -> None:
    first, second = Money(a, USD), Money(b, USD)

    assert (first < second, first <= second, first > second, first >= second) == (
        a < b,
        a <= b,
        a > b,
        a >= b,
    )
    assert (first == second) is (a == b)


@given(amount=amounts, unit=st.sampled_from(currencies()))
def test_the_written_amount_reads_back_exactly(amount: int, unit: Currency) -> None:
    number, code = str(Money(amount, unit)).split(" ")

    assert code == unit.code
    assert Fraction(number) * 10**unit.exponent == amount
