"""What a document proves, and how far one may come. Without I/O or a clock."""

from collections.abc import Iterable
from enum import StrEnum

from guilder.kyc.errors import DocumentDecided
from guilder.wallets.tiers import Tier


class DocumentKind(StrEnum):
    """What was handed in."""

    PASSPORT = "passport"
    ID_CARD = "id_card"
    DRIVING_LICENCE = "driving_licence"
    RESIDENCE_PERMIT = "residence_permit"
    PROOF_OF_ADDRESS = "proof_of_address"
    """A bill or a bank's letter, of late."""


class DocumentState(StrEnum):
    """Where a document stands."""

    SUBMITTED = "submitted"
    """Nobody has looked yet."""
    IN_REVIEW = "in_review"
    """Somebody is looking."""
    APPROVED = "approved"
    """It proves what it says."""
    REFUSED = "refused"
    """It does not, or not any more. This is the end; another one may be handed in."""


class Decider(StrEnum):
    """Who says how a document stands."""

    OPERATOR = "operator"
    PROVIDER = "provider"


IDENTITY_KINDS = frozenset(DocumentKind) - {DocumentKind.PROOF_OF_ADDRESS}
_NEXT: dict[DocumentState, frozenset[DocumentState]] = {
    DocumentState.SUBMITTED: frozenset(
        {DocumentState.IN_REVIEW, DocumentState.APPROVED, DocumentState.REFUSED}
    ),
    DocumentState.IN_REVIEW: frozenset({DocumentState.APPROVED, DocumentState.REFUSED}),
    DocumentState.APPROVED: frozenset(),
    DocumentState.REFUSED: frozenset(),
}


def tier_of(approved: Iterable[DocumentKind]) -> Tier:
    """Return the tier that approved documents come to. An address alone proves nobody."""
    kinds = set(approved)
    if not kinds & IDENTITY_KINDS:
        return Tier.NONE
    return Tier.FULL if DocumentKind.PROOF_OF_ADDRESS in kinds else Tier.BASIC


def may_become(old: DocumentState, new: DocumentState, *, by: Decider) -> bool:
    """Tell whether a document may go from one state to another."""
    if new in _NEXT[old]:
        return True
    withdraws = old is DocumentState.APPROVED and new is DocumentState.REFUSED
    return withdraws and by is Decider.OPERATOR


def refuse_impossible(old: DocumentState, new: DocumentState, *, by: Decider) -> None:
    """Refuse a step that a document cannot take.

    Raises:
        DocumentDecided: It was decided otherwise.
    """
    if not may_become(old, new, by=by):
        raise DocumentDecided(f"It is {old}, so it cannot become {new}.")
