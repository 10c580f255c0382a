"""The currency table, and the assets declared beside it."""

import re
from collections.abc import Iterator

import pytest

from guilder.kernel import currency as module
from guilder.kernel.currency import (
    Currency,
    InvalidAsset,
    UnknownCurrency,
    currencies,
    currency,
    declare_asset,
)
from guilder.kernel.currency_table import ISO_4217


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(module, "_CURRENCIES", dict(module._CURRENCIES))
        yield


@pytest.mark.parametrize(
    ("code", "exponent", "numeric"),
    [
        ("USD", 2, 840),
        ("EUR", 2, 978),
        ("INR", 2, 356),
        ("ISK", 0, 352),
        ("JPY", 0, 392),
        ("KRW", 0, 410),
        ("UYI", 0, 940),
        ("XOF", 0, 952),
        ("BHD", 3, 48),
        ("KWD", 3, 414),
        ("TND", 3, 788),
        ("CLF", 4, 990),
        ("UYW", 4, 927),
    ],
)
def test_a_currency_has_the_exponent_of_iso_4217(code: str, exponent: int, numeric: int) -> None:
    found = currency(code)

    assert (found.code, found.exponent, found.numeric) == (code, exponent, numeric)


def test_the_table_is_in_order_and_no_code_or_number_is_there_twice() -> None:
    codes = [row[0] for row in ISO_4217]
    numbers = [row[1] for row in ISO_4217]

    assert codes == sorted(set(codes))
    assert len(numbers) == len(set(numbers))
    assert len(codes) == 165


def test_every_row_of_the_table_has_its_form() -> None:
    for code, numeric, exponent, name in ISO_4217:
        assert re.fullmatch(r"[A-Z]{3}", code)
        assert 1 <= numeric <= 999
        assert exponent in {0, 2, 3, 4}
        assert name == name.strip() != ""


@pytest.mark.parametrize(
    "code", ["XAU", "XDR", "XTS", "XXX", "usd", " USD", "USD\n", "", "US", "DEM", "U" * 10_000]
)
def test_a_code_without_a_minor_unit_or_unknown_is_refused(code: str) -> None:
    with pytest.raises(UnknownCurrency) as caught:
        currency(code)

    assert caught.value.code == "currency_unknown"
    assert len(caught.value.detail) < 120


def test_an_asset_is_found_once_declared() -> None:
    points = declare_asset("POINTS", exponent=0, name="Reward points")

    assert points == Currency("POINTS", 0, None, "Reward points")
    assert currency("POINTS") is points
    assert points in currencies()


def test_declaring_the_same_asset_again_changes_nothing() -> None:
    first = declare_asset("POINTS", exponent=0, name="Reward points")

    assert declare_asset("POINTS", exponent=0, name="Reward points") is first


@pytest.mark.parametrize(("exponent", "name"), [(2, "Reward points"), (0, "Other points")])
def test_an_asset_is_not_declared_again_as_something_else(exponent: int, name: str) -> None:
    first = declare_asset("POINTS", exponent=0, name="Reward points")

    with pytest.raises(InvalidAsset):
        declare_asset("POINTS", exponent=exponent, name=name)
    assert currency("POINTS") is first


@pytest.mark.parametrize(
    ("code", "exponent", "name"),
    [
        ("USD", 2, "US Dollar"),
        ("ABC", 2, "Three letters are for ISO 4217"),
        ("points", 0, "Lower case"),
        ("1POINT", 0, "Digit first"),
        ("POIN TS", 0, "Space"),
        ("POINTS\n", 0, "Newline"),
        ("P" * 33, 0, "Too long"),
        ("POINTS", -1, "Negative exponent"),
        ("POINTS", 19, "Exponent too large"),
        ("POINTS", True, "Exponent is a bool"),
        ("POINTS", 0, " "),
    ],
)
def test_an_asset_out_of_form_is_refused(code: str, exponent: int, name: str) -> None:
    before = currencies()

    with pytest.raises(InvalidAsset):
        declare_asset(code, exponent=exponent, name=name)
    assert currencies() == before


def test_the_bounds_of_an_asset_are_allowed() -> None:
    assert declare_asset("P" * 32, exponent=18, name="Fine").exponent == 18
    assert declare_asset("GOLD", exponent=0, name="Gold, in grams").exponent == 0


def test_currencies_are_listed_by_code() -> None:
    declare_asset("AAAA", exponent=0, name="First")
    codes = [each.code for each in currencies()]

    assert codes == sorted(codes)
    assert len(codes) == 166
