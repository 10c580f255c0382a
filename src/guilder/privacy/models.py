"""What is kept of closing accounts: enough to complete one that was cut off, and no more."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from guilder.kernel.ids import UserId, WalletId
from guilder.storage.base import Document


class ClosingState(StrEnum):
    """How far a closing has come. It moves down this list only."""

    BEGUN = "begun"
    """The wallet is being closed. If money turns out to be there, the record is removed again."""
    CLOSED = "closed"
    """The wallet is closed and the user erased. There is no way back."""


class Closing(Document, frozen=True, kw_only=True):
    """The closing of one account; its id is the user's. It names nobody."""

    collection: ClassVar[str] = "account_closings"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("due_at",),)

    wallet_id: WalletId
    state: ClosingState = ClosingState.BEGUN
    was_frozen: bool
    """So was the wallet before it was frozen for the closing."""
    closed_at: datetime | None = None
    """When the user was erased."""
    due_at: datetime | None
    """When it is gone on with, should nobody have done so; None: everything is erased."""

    @property
    def user_id(self) -> UserId:
        """The id under its own type."""
        return UserId(self.id)


MODELS: tuple[type[Document], ...] = (Closing,)
"""For `Storage.migrate`."""
