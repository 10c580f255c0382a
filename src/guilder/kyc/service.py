"""Handing documents in, and deciding on them. The tier of the wallet changes with the decision."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from guilder.audit.trail import AuditTrail
from guilder.identity.authentication import Principal
from guilder.identity.models import User
from guilder.identity.notices import Notices
from guilder.kernel.clock import Clock
from guilder.kernel.errors import (
    FieldError,
    InvalidRequest,
    InvariantViolation,
    NotFound,
    Unavailable,
)
from guilder.kernel.ids import decode_id, derived_uuid, encode_id
from guilder.kyc.errors import DocumentDecided, OwnDocument, TooManyDocuments
from guilder.kyc.models import BY_HAND, KycDocument
from guilder.kyc.providers import Providers
from guilder.kyc.rules import Decider, DocumentKind, DocumentState, refuse_impossible, tier_of
from guilder.storage.base import Range, Storage, Transaction
from guilder.storage.errors import DuplicateDocument, VersionConflict
from guilder.vault.vault import Vault, context_of
from guilder.wallets.models import Wallet
from guilder.wallets.tiers import Tier

PREFIX: Final = "kyc_document"
DOCUMENTS_MAX: Final = 50
"""That one person may hand in, refused ones too."""
_ATTEMPTS: Final = 16
_log = structlog.get_logger(__name__)


class Shown(Struct, frozen=True, kw_only=True):
    """A document with what is sealed in it opened, for its owner and for operators."""

    document: KycDocument
    reference: str
    reason: str | None


class KycService:
    """Documents and tiers.

    Invariants:
        Whoever handed a document in is told what was decided, by e-mail alone, in the transaction
        that decides.
        A wallet's tier is what its owner's approved documents come to; both change in one
        transaction, of which there is one after the other for each wallet.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        vault: Vault,
        audit: AuditTrail,
        notices: Notices,
        providers: Providers,
    ) -> None:
        """Take what deciding needs; does nothing yet."""
        self._storage = storage
        self._documents = storage.documents(KycDocument)
        self._clock = clock
        self._vault = vault
        self._audit = audit
        self._notices = notices
        self._providers = providers

    async def tier(self, principal: Principal) -> Tier:
        """Return somebody's tier."""
        wallet = await self._storage.documents(Wallet).get(principal.wallet_id)
        return Tier.NONE if wallet is None else wallet.tier

    async def documents(self, principal: Principal) -> list[Shown]:
        """Return what somebody has handed in, newest first."""
        return [self._shown(each) for each in await self._of(principal.user_id)]

    async def submit(
        self, principal: Principal, *, kind: DocumentKind, reference: str, provider: str | None
    ) -> Shown:
        """Hand in a document by its reference. Done twice, it is done once.

        Args:
            principal: Whose document it is.
            kind: What it is.
            reference: Under which the provider has it.
            provider: Who has it; None: people of the deployment look at it.

        Raises:
            InvalidRequest: No such provider is set up.
            TooManyDocuments: There are `DOCUMENTS_MAX`.
        """
        if provider is not None and provider not in self._providers.names:
            detail = "No provider of that name is set up."
            raise InvalidRequest(fields=(FieldError("/provider", "unknown_provider", detail),))
        fresh = self._fresh(principal, kind, reference, provider or BY_HAND)
        found = await self._documents.get(fresh.id)
        if found is not None:
            return self._shown(found)
        if len(await self._of(principal.user_id)) >= DOCUMENTS_MAX:
            raise TooManyDocuments
        try:
            async with self._storage.transaction() as transaction:
                await transaction.documents(KycDocument).insert(fresh)
                await self._audit.record(
                    "kyc_document.submitted",
                    actor=principal.user_id,
                    subject=principal.user_id,
                    details={"document_id": fresh.id, "kind": kind},
                    transaction=transaction,
                )
        except DuplicateDocument:
            found = await self._documents.get(fresh.id)
        return self._shown(found or fresh)

    async def page(
        self, state: DocumentState, *, after: tuple[datetime, str] | None, limit: int
    ) -> list[Shown]:
        """Return everybody's documents in one state, the oldest first."""
        found = await self._documents.page(
            {"state": state.value}, within=Range(field="created_at"), after=after, limit=limit
        )
        return [self._shown(each) for each in found]

    async def decide(
        self, document_id: str, state: DocumentState, *, reason: str | None, operator: Principal
    ) -> Shown:
        """Note what an operator has found. Saying the same again changes nothing.

        Raises:
            NotFound: There is no such document.
            OwnDocument: It is the operator's.
            DocumentDecided: It was decided otherwise.
        """
        document = await self._found(document_id)
        if document.user_id == operator.user_id:
            raise OwnDocument
        return await self._decide(
            document_id, state, reason=reason, by=Decider.OPERATOR, who=operator.user_id
        )

    async def take_callback(
        self, provider: str, headers: Mapping[str, str], raw_body: bytes
    ) -> None:
        """Note what a provider has found. What was decided before stays as it is.

        Raises:
            NotFound: No such provider, or none of its documents.
            CallbackInvalid: It is not the provider's, or too old, or cannot be read.
        """
        finding = self._providers.pick(provider).finding(headers, raw_body, self._clock())
        document = await self._found(finding.document_id)
        if document.provider != provider:
            raise NotFound
        try:
            await self._decide(
                document.id,
                finding.state,
                reason=finding.reason,
                by=Decider.PROVIDER,
                who=provider,
            )
        except DocumentDecided:
            # An old callback, sent again: the provider need not know.
            _log.info("kyc_callback_late", document=document.id, state=finding.state)

    async def _decide(
        self, document_id: str, state: DocumentState, *, reason: str | None, by: Decider, who: str
    ) -> Shown:
        for _ in range(_ATTEMPTS):
            document = await self._found(document_id)
            if document.state is state:
                return self._shown(document)
            refuse_impossible(document.state, state, by=by)
            now = self._clock()
            decided = replace(
                document,
                state=state,
                reason=self._sealed(document.id, "reason", reason),
                decided_by=who,
                decided_at=now,
                updated_at=now,
            )
            wallet = await self._wallet_after(decided)
            try:
                async with self._storage.transaction() as transaction:
                    stored = await transaction.documents(KycDocument).replace(decided)
                    # Written even if nothing changes: of two decisions at once, each of which does
                    # not see the other's document, one has to look again.
                    await transaction.documents(Wallet).replace(wallet)
                    await self._audit.record(
                        "kyc_document.decided",
                        actor=who,
                        subject=document.user_id,
                        details={"document_id": document.id, "state": state, "tier": wallet.tier},
                        transaction=transaction,
                    )
                    await self._tell(transaction, decided, wallet.tier)
            except VersionConflict:
                continue
            _log.info("kyc_document_decided", document=document.id, state=state, tier=wallet.tier)
            return self._shown(stored)
        raise Unavailable(retry_after_s=1)

    async def _tell(self, transaction: Transaction, decided: KycDocument, tier: Tier) -> None:
        """Tell the owner of a document what came of it: not which it is, nor why."""
        if decided.state not in (DocumentState.APPROVED, DocumentState.REFUSED):
            return
        owner = await transaction.documents(User).get(decided.user_id)
        if owner is not None:
            values = {"outcome": decided.state.value, "tier": tier.value}
            await self._notices.tell(
                transaction, owner, "document_decided", values, only_by_mail=True
            )

    async def _wallet_after(self, decided: KycDocument) -> Wallet:
        """Return the wallet with the tier that the approved documents come to. Stores nothing."""
        # The wallet first: whoever decides after this look at it has changed its version.
        wallet = await self._storage.documents(Wallet).get(decided.wallet_id)
        if wallet is None:
            raise InvariantViolation("every user has a wallet")
        others = [each for each in await self._of(decided.user_id) if each.id != decided.id]
        approved = [
            each.kind for each in (*others, decided) if each.state is DocumentState.APPROVED
        ]
        return replace(wallet, tier=tier_of(approved), updated_at=decided.updated_at)

    def _fresh(
        self, principal: Principal, kind: DocumentKind, reference: str, provider: str
    ) -> KycDocument:
        key = self._vault.blind_index("kyc_documents.reference", reference)
        uuid = derived_uuid("kyc-document", principal.user_id, kind, provider, key)
        document_id, now = encode_id(PREFIX, uuid), self._clock()
        return KycDocument(
            id=document_id,
            user_id=principal.user_id,
            wallet_id=principal.wallet_id,
            kind=kind,
            provider=provider,
            reference=self._sealed(document_id, "reference", reference) or "",
            created_at=now,
            updated_at=now,
        )

    async def _of(self, user_id: str) -> Sequence[KycDocument]:
        return await self._documents.page(
            {"user_id": user_id},
            within=Range(field="created_at"),
            descending=True,
            limit=2 * DOCUMENTS_MAX,
        )

    async def _found(self, document_id: str) -> KycDocument:
        decode_id(PREFIX, document_id)
        document = await self._documents.get(document_id)
        if document is None:
            raise NotFound
        return document

    def _sealed(self, document_id: str, field: str, text: str | None) -> str | None:
        if text is None:
            return None
        return self._vault.seal(text, context=_place(document_id, field))

    def _shown(self, document: KycDocument) -> Shown:
        reason = document.reason
        return Shown(
            document=document,
            reference=self._vault.open(
                document.reference, context=_place(document.id, "reference")
            ),
            reason=None
            if reason is None
            else self._vault.open(reason, context=_place(document.id, "reason")),
        )


def _place(document_id: str, field: str) -> str:
    return context_of(KycDocument.collection, document_id, field)
