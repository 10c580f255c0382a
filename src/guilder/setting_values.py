"""The shapes of settings that are more than a number or a text: rates and limits."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from guilder.kernel.currency import UnknownCurrency, currency
from guilder.kernel.money import MAX_MINOR


def _read_rate(text: str) -> str:
    """Refuse a rate that is not `requests/seconds`, both positive."""
    Rate.parse(text)
    return text


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds; also the size of a burst."""

    requests: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `600/60`: six hundred requests in sixty seconds."""
        requests, slash, seconds = text.partition("/")
        if not (slash and requests.isascii() and seconds.isascii()):
            raise ValueError(_RATE_FORM)
        if not (requests.isdigit() and seconds.isdigit() and int(requests) and int(seconds)):
            raise ValueError(_RATE_FORM)
        return cls(requests=int(requests), seconds=int(seconds))


_RATE_FORM = "must look like 600/60: requests, a slash, seconds"
RateText = Annotated[str, AfterValidator(_read_rate)]


SettingName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z_]*$")]
"""What a database server calls one of its settings."""


def _known_currencies(limits: dict[str, int]) -> dict[str, int]:
    """Refuse a limit in a currency that there is not: it would never be met."""
    for code in limits:
        try:
            currency(code)
        except UnknownCurrency as error:
            raise ValueError(error.detail) from error
    return limits


LimitMap = Annotated[
    dict[str, Annotated[int, Field(ge=1, le=MAX_MINOR)]], AfterValidator(_known_currencies)
]
"""Minor units by currency."""


class TierMaxima(BaseModel):
    """What may leave a wallet of one tier: at a time, in a day, in a month."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transfer: LimitMap = {}
    daily: LimitMap = {}
    monthly: LimitMap = {}


TierLimitMap = dict[Literal["none", "basic", "full"], TierMaxima]
"""Maxima by tier."""
