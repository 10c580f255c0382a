"""What is proved about people, on the wire."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from guilder.kernel.clock import rfc3339
from guilder.kyc.rules import DocumentKind, DocumentState
from guilder.kyc.service import Shown
from guilder.wallets.limits import SpendingLimits
from guilder.wallets.tiers import Tier

_DOCUMENT = "kyc_document_01h455vb4pex5vsknk084sn02q"
_TIME = "2026-01-31T12:00:00.000Z"
Reference = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$"),
    Field(
        description="Under which the document is kept, by the provider or the deployment. The "
        "document itself is never sent here.",
        examples=["check_8f14e45fceea167a"],
    ),
]


class DocumentBody(BaseModel):
    """A document that somebody hands in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: DocumentKind
    reference: Reference
    provider: Annotated[
        str | None,
        Field(
            max_length=40,
            description="Who has it; left out, people of the deployment look at it.",
            examples=["simulator"],
        ),
    ] = None


class DecisionBody(BaseModel):
    """What an operator has found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Literal["in_review", "approved", "refused"]
    reason: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            description="Why it is refused, for its owner.",
            examples=["The photograph cannot be read."],
        ),
    ] = None


class DocumentsQuery(BaseModel):
    """Which documents, and which page of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: DocumentState = DocumentState.SUBMITTED
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Annotated[str | None, Field(max_length=1024)] = None


class DocumentAnswer(BaseModel):
    """A document as it stands."""

    document_id: str = Field(examples=[_DOCUMENT])
    kind: DocumentKind
    provider: str = Field(examples=["operator"])
    reference: str = Field(examples=["check_8f14e45fceea167a"])
    state: DocumentState
    reason: str | None = Field(description="Why it was refused.", examples=[None])
    created_at: str = Field(description="RFC 3339, UTC.", examples=[_TIME])
    decided_at: str | None = Field(description="RFC 3339, UTC.", examples=[None])

    @classmethod
    def of(cls, shown: Shown) -> Self:
        """Return a document as its owner sees it."""
        document = shown.document
        return cls(
            document_id=document.id,
            kind=document.kind,
            provider=document.provider,
            reference=shown.reference,
            state=document.state,
            reason=shown.reason,
            created_at=rfc3339(document.created_at),
            decided_at=rfc3339(document.decided_at) if document.decided_at else None,
        )


class LimitsAnswer(BaseModel):
    """What may leave the wallet by its tier, by currency, in minor units."""

    transfer: dict[str, int] = Field(description="At a time.", examples=[{"USD": 15000}])
    daily: dict[str, int] = Field(description="In a day of UTC.", examples=[{"USD": 15000}])
    monthly: dict[str, int] = Field(description="In a month of UTC.", examples=[{"USD": 15000}])


class KycAnswer(BaseModel):
    """What is proved about the signed-in user."""

    tier: Tier
    limits: LimitsAnswer
    documents: list[DocumentAnswer]

    @classmethod
    def of(cls, tier: Tier, limits: SpendingLimits, documents: list[Shown]) -> Self:
        """Return tier, limits and documents."""
        of_tier = limits.tier
        return cls(
            tier=tier,
            limits=LimitsAnswer(
                transfer=dict(of_tier.transfer) if of_tier else {},
                daily=dict(of_tier.daily) if of_tier else {},
                monthly=dict(of_tier.monthly) if of_tier else {},
            ),
            documents=[DocumentAnswer.of(each) for each in documents],
        )


class ReviewAnswer(DocumentAnswer):
    """A document as operators see it."""

    user_id: str = Field(examples=["user_01h455vb4pex5vsknk084sn02q"])
    decided_by: str | None = Field(description="Operator or provider.", examples=[None])

    @classmethod
    def of(cls, shown: Shown) -> Self:
        """Return a document as operators see it."""
        plain = DocumentAnswer.of(shown).model_dump()
        document = shown.document
        return cls(**plain, user_id=document.user_id, decided_by=document.decided_by)


class ReviewsAnswer(BaseModel):
    """A page of documents, the oldest first."""

    data: list[ReviewAnswer]
    has_more: bool = Field(examples=[False])
    next_cursor: str | None = Field(examples=[None])
