"""Batches of transfers on the wire."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from guilder.kernel.errors import GuilderError
from guilder.kernel.ids import WalletId
from guilder.storage.turns import in_turns
from guilder.transfers.batches import ITEMS_MAX, Result
from guilder.transfers.schemas import TransferDetails, TransferOrder

ItemKey = Annotated[
    str,
    Field(
        pattern=r"^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$",
        description="Idempotency key of this transfer, 1 to 255 printable ASCII characters.",
        examples=["salary-2026-01-0001"],
    ),
]


class BatchItem(TransferOrder):
    """One transfer of a batch, under a key of its own."""

    key: ItemKey


class BatchBody(BaseModel):
    """Many transfers at once."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "mode": "independent",
                    "items": [
                        {
                            "key": "salary-2026-01-0001",
                            "amount": 250000,
                            "currency": "USD",
                            "to": {"email": "payee@example.com"},
                        }
                    ],
                }
            ]
        },
    )

    mode: Literal["atomic", "independent"] = Field(
        description="`atomic`: all or none. `independent`: each for itself, in order."
    )
    items: list[BatchItem] = Field(min_length=1, max_length=ITEMS_MAX)

    @model_validator(mode="after")
    def _keys_differ(self) -> Self:
        if len({item.key for item in self.items}) < len(self.items):
            message = "Every item has a key of its own."
            raise ValueError(message)
        return self


class ItemError(BaseModel):
    """Why an item was refused."""

    code: str = Field(examples=["insufficient_funds"])
    title: str = Field(examples=["Insufficient funds"])
    detail: str = Field(examples=["Insufficient funds"])

    @classmethod
    def of(cls, error: GuilderError) -> "ItemError":
        """Return an error as a problem would say it."""
        return cls(code=error.code, title=error.title, detail=error.detail)


class ItemAnswer(BaseModel):
    """What became of one item."""

    key: ItemKey
    status: Literal["completed", "refused"]
    transfer: TransferDetails | None
    error: ItemError | None

    @classmethod
    def of(cls, result: Result, *, sender: WalletId) -> "ItemAnswer":
        """Return a result as its sender sees it."""
        transfer, error = result.transfer, result.error
        return cls(
            key=result.key,
            status="refused" if transfer is None else "completed",
            transfer=None if transfer is None else TransferDetails.sent(transfer, sender=sender),
            error=None if error is None else ItemError.of(error),
        )


class BatchAnswer(BaseModel):
    """What became of each item, in their order."""

    dry_run: bool = Field(description="Nothing was changed: it would become that.")
    mode: Literal["atomic", "independent"]
    completed: int = Field(description="Items that are in the journal.", examples=[1])
    refused: int = Field(description="Items that are not.", examples=[0])
    items: list[ItemAnswer]

    @classmethod
    async def of(
        cls,
        results: Sequence[Result],
        *,
        mode: Literal["atomic", "independent"],
        sender: WalletId,
        dry_run: bool = False,
    ) -> "BatchAnswer":
        """Return the results. The same for every retry of what was completed whole."""
        items = [ItemAnswer.of(result, sender=sender) async for result in in_turns(results)]
        completed = sum(item.error is None for item in items)
        return cls(
            dry_run=dry_run,
            mode=mode,
            completed=completed,
            refused=len(items) - completed,
            items=items,
        )
