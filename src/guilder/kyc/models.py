"""What is kept of a document: where it is and what was decided, never the document itself."""

from datetime import datetime
from typing import ClassVar

from guilder.kernel.ids import UserId, WalletId
from guilder.kyc.rules import DocumentKind, DocumentState
from guilder.storage.base import Document

BY_HAND = "operator"
"""Stands for the provider of a document that people of the deployment look at."""


class KycDocument(Document, frozen=True, kw_only=True):
    """A document that somebody has handed in elsewhere. Its id follows from whose and which.

    Invariants:
        `state` moves as `rules.may_become` allows.
    """

    collection: ClassVar[str] = "kyc_documents"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("user_id", "created_at"),
        ("state", "created_at"),
    )
    sealed: ClassVar[tuple[str, ...]] = ("reference", "reason")

    user_id: UserId
    wallet_id: WalletId
    kind: DocumentKind
    provider: str
    """Who has it: a provider's name, or `BY_HAND`."""
    reference: str
    """Under which they have it, sealed."""
    state: DocumentState = DocumentState.SUBMITTED
    reason: str | None = None
    """Why it was refused, in words for its owner, sealed."""
    decided_by: str | None = None
    """Id of the operator, or the provider's name."""
    decided_at: datetime | None = None


MODELS: tuple[type[Document], ...] = (KycDocument,)
"""For `Storage.migrate`."""
