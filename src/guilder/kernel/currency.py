"""What an amount is counted in: currencies of ISO 4217, and assets that a deployment declares."""

import re
from dataclasses import dataclass

from guilder.kernel.currency_table import ISO_4217
from guilder.kernel.errors import GuilderError, Kind

MAX_EXPONENT = 18
"""Beyond it one major unit would no longer fit the int64 in which amounts are kept."""

_ASSET_CODE = re.compile(r"[A-Z][A-Z0-9_]{3,31}")


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency or a declared asset.

    Args:
        code: ISO 4217 alphabetic code, or the asset's own of 4 to 32 characters.
        exponent: Decimal places of the minor unit: 2 for USD, 0 for JPY, 3 for KWD.
        numeric: ISO 4217 numeric code; None for an asset.
        name: In English.
    """

    code: str
    exponent: int
    numeric: int | None
    name: str


class UnknownCurrency(GuilderError):
    """An amount is in an active ISO 4217 currency that has a minor unit, or in a declared asset."""

    code = "currency_unknown"
    kind = Kind.INVALID
    title = "Unknown currency"


class InvalidAsset(GuilderError):
    """A declared asset has a code that no currency can ever have, an exponent from 0 to 18, a name,
    and is never declared again as something else.
    """

    code = "asset_invalid"
    kind = Kind.INVALID
    title = "The asset cannot be declared"


_CURRENCIES: dict[str, Currency] = {
    code: Currency(code, exponent, numeric, name) for code, numeric, exponent, name in ISO_4217
}


def currency(code: str) -> Currency:
    """Return the currency or declared asset with that code.

    Args:
        code: Upper case, as in ISO 4217. Nothing is trimmed or folded: on the
            wire `usd` is a mistake, not another spelling.

    Raises:
        UnknownCurrency: There is none.

    >>> currency("JPY").exponent
    0
    """
    found = _CURRENCIES.get(code)
    if found is None:
        # At most what a code may have is repeated: a caller's text can be of any length.
        raise UnknownCurrency(f"{code[:32]!r} is not a currency or asset that is kept here.")
    return found


def declare_asset(code: str, *, exponent: int, name: str) -> Currency:
    """Add an asset that is no currency, such as points, and return it.

    Declared once at start, before the first request. Declaring the same again
    changes nothing.

    Args:
        code: 4 to 32 upper-case letters, digits and underscores, a letter first.
            ISO 4217 codes have three letters, so a later currency cannot collide.
        exponent: Decimal places, 0 to 18.
        name: In English.

    Raises:
        InvalidAsset: One of these is out of its form, or `code` is declared
            with another exponent or name: stored amounts would change meaning.
    """
    if not _ASSET_CODE.fullmatch(code):
        raise InvalidAsset(f"{code!r} is not 4 to 32 of A-Z, 0-9 and _, beginning with a letter.")
    if type(exponent) is not int or not 0 <= exponent <= MAX_EXPONENT:
        raise InvalidAsset(f"The exponent of {code} is not a whole number from 0 to 18.")
    if not name.strip():
        raise InvalidAsset(f"{code} has no name.")
    wanted = Currency(code, exponent, None, name)
    declared = _CURRENCIES.setdefault(code, wanted)
    if declared != wanted:
        raise InvalidAsset(f"{code} is declared already, as {declared}.")
    return declared


def currencies() -> tuple[Currency, ...]:
    """Return every currency and declared asset, by code."""
    return tuple(_CURRENCIES[code] for code in sorted(_CURRENCIES))
