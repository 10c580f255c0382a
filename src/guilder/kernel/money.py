"""An amount of a currency, in whole minor units. No division, no float: `split` makes shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from guilder.kernel.currency import Currency
from guilder.kernel.errors import GuilderError, Kind, check

MIN_MINOR = -(2**63)
MAX_MINOR = 2**63 - 1
"""Amounts are kept as int64 by both storage engines."""


class AmountOutOfRange(GuilderError):
    """An amount, and every result of reckoning with amounts, fits a signed 64-bit integer."""

    code = "amount_out_of_range"
    kind = Kind.INVALID
    title = "The amount is out of range"


class CurrencyMismatch(GuilderError):
    """Only amounts of one currency are added, subtracted or compared."""

    code = "currency_mismatch"
    kind = Kind.INVALID
    title = "The currencies differ"


class InvalidWeights(GuilderError):
    """Weights are whole numbers, none negative, at least one positive."""

    code = "weights_invalid"
    kind = Kind.INVALID
    title = "The weights are not valid"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency.

    Args:
        amount_minor: Minor units, -2^63 to 2^63-1. The sign says whose it is.
        currency: What it is counted in.

    Invariants:
        Equal amounts of different currencies are unequal, zero too.

    Raises:
        AmountOutOfRange: It does not fit.
        InvariantViolation: It is no `int`; a `bool` or a float got this far.

    >>> from guilder.kernel.currency import currency
    >>> str(Money(1250, currency("USD")) + Money(5, currency("USD")))
    '12.55 USD'
    """

    amount_minor: int
    currency: Currency

    def __post_init__(self) -> None:
        """Refuse what is not an int64."""
        check(type(self.amount_minor) is int, "an amount is an int")
        if not MIN_MINOR <= self.amount_minor <= MAX_MINOR:
            raise AmountOutOfRange

    @classmethod
    def zero(cls, currency: Currency) -> Self:
        """Return nothing of a currency."""
        return cls(0, currency)

    def __add__(self, other: Self) -> Self:
        """Return the sum; `CurrencyMismatch` or `AmountOutOfRange` if there is none."""
        self._check_same_currency(other)
        return type(self)(self.amount_minor + other.amount_minor, self.currency)

    def __sub__(self, other: Self) -> Self:
        """Return the difference; `CurrencyMismatch` or `AmountOutOfRange` if there is none."""
        self._check_same_currency(other)
        return type(self)(self.amount_minor - other.amount_minor, self.currency)

    def __neg__(self) -> Self:
        """Return the opposite amount; -2^63 has none."""
        return type(self)(-self.amount_minor, self.currency)

    def __mul__(self, factor: int) -> Self:
        """Return the amount `factor` times. Only whole factors: a ratio goes through `split`."""
        if type(factor) is not int:
            return NotImplemented
        return type(self)(self.amount_minor * factor, self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: Self) -> bool:
        """Tell whether it is less; `CurrencyMismatch` if that has no answer."""
        self._check_same_currency(other)
        return self.amount_minor < other.amount_minor

    def __le__(self, other: Self) -> bool:
        """Tell whether it is at most `other`; `CurrencyMismatch` if that has no answer."""
        self._check_same_currency(other)
        return self.amount_minor <= other.amount_minor

    def __gt__(self, other: Self) -> bool:
        """Tell whether it is more; `CurrencyMismatch` if that has no answer."""
        return other < self

    def __ge__(self, other: Self) -> bool:
        """Tell whether it is at least `other`; `CurrencyMismatch` if that has no answer."""
        return other <= self

    def __bool__(self) -> bool:
        """Tell whether it is anything but zero."""
        return self.amount_minor != 0

    def split(self, weights: Sequence[int]) -> tuple[Self, ...]:
        """Share the amount by weight without losing a minor unit.

        Args:
            weights: Shape (n,), n >= 1. Non-negative, at least one positive.

        Returns:
            Shape (n,), in the order of `weights`, in the currency of `self`.

        Invariants:
            The shares sum to `self`. A zero weight gets zero. Every share is
            within one minor unit of its exact value. The shares of a negative
            amount are the opposites of those of the positive one, so that a
            split can be reversed share by share.

        Raises:
            InvalidWeights: `weights` is empty, holds something else than an
                `int`, is negative somewhere, or all zero.

        Source:
            Largest-remainder method; a tie goes to the earlier share.

        >>> from guilder.kernel.currency import currency
        >>> [share.amount_minor for share in Money(100, currency("USD")).split([1, 1, 1])]
        [34, 33, 33]
        """
        if not all(type(weight) is int and weight >= 0 for weight in weights) or not any(weights):
            raise InvalidWeights
        total = sum(weights)
        sign = -1 if self.amount_minor < 0 else 1
        size = abs(self.amount_minor)
        floors, remainders = zip(*(divmod(size * weight, total) for weight in weights), strict=True)
        missing = size - sum(floors)
        by_remainder = sorted(range(len(weights)), key=lambda index: -remainders[index])
        extra = frozenset(by_remainder[:missing])
        return tuple(
            type(self)(sign * (floor + (index in extra)), self.currency)
            for index, floor in enumerate(floors)
        )

    def __str__(self) -> str:
        """Return the amount in major units with its code, such as `12.50 USD` or `-3 JPY`."""
        exponent = self.currency.exponent
        sign = "-" if self.amount_minor < 0 else ""
        digits = str(abs(self.amount_minor)).zfill(exponent + 1)
        if exponent:
            digits = f"{digits[:-exponent]}.{digits[-exponent:]}"
        return f"{sign}{digits} {self.currency.code}"

    def _check_same_currency(self, other: Self) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(
                f"{self.currency.code} and {other.currency.code} do not reckon together."
            )
