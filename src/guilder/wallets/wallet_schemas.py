"""Wallets by id on the wire."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from guilder.kernel.ids import WalletId
from guilder.wallets.balances import BalancesAt
from guilder.wallets.schemas import BalanceAfter, WalletAnswer


class WalletsAnswer(BaseModel):
    """A page of wallets."""

    data: list[WalletAnswer]
    has_more: bool = Field(examples=[False])
    next_cursor: str | None = Field(examples=[None])


class BalancesQuery(BaseModel):
    """Of when the balances are wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_of: Annotated[
        str | None,
        Field(
            max_length=64,
            description="RFC 3339 time, or position of the journal; now if left out.",
            examples=["2026-01-31T12:00:00Z"],
        ),
    ] = None


class BalancesAnswer(BaseModel):
    """The balances of a wallet as they were."""

    wallet_id: str = Field(examples=["wallet_01h455vb4pex5vsknk084sn02q"])
    position: int = Field(
        description="Place in the journal up to which everything counts.", examples=[42]
    )
    balances: list[BalanceAfter]

    @classmethod
    def of(cls, found: BalancesAt, *, wallet_id: WalletId) -> "BalancesAnswer":
        """Return balances by currency."""
        return cls(
            wallet_id=wallet_id,
            position=found.position,
            balances=[BalanceAfter.of(leg, asset) for asset, leg in found.balances.items()],
        )
