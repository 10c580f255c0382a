"""How well the deployment knows whose wallet it is, and what may leave it therefore."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class Tier(StrEnum):
    """What has been proved about somebody."""

    NONE = "none"
    """Nothing."""
    BASIC = "basic"
    """Who it is."""
    FULL = "full"
    """Who it is, and where they live."""


class TierLimits(Struct, frozen=True, kw_only=True):
    """The most that may leave a wallet of one tier, by currency, in minor units.

    What is left out is free, as far as the tier goes.

    Args:
        transfer: At a time.
        daily: In a calendar day of UTC.
        monthly: In a calendar month of UTC.
    """

    transfer: Mapping[str, int] = {}
    daily: Mapping[str, int] = {}
    monthly: Mapping[str, int] = {}
