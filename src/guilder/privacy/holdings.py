"""What is kept about a person, collection by collection: the copy and the erasure follow it.

A stored model takes its place here, in `HOLDINGS` or in `APART`, or a test fails. What is shown is
named field by field: a new field is left out until somebody has decided that it is no secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from guilder.api_keys import models as api_keys
from guilder.audit import models as audit
from guilder.gateways import models as gateways
from guilder.gateways.simulator import models as simulator
from guilder.identity import models as identity
from guilder.identity.factors import models as factors
from guilder.identity.factors import passkey_models as passkeys
from guilder.identity.outside import models as outside
from guilder.kyc.models import KycDocument
from guilder.ledger.checkpoints import Checkpoint
from guilder.ledger.followers import FollowerPosition
from guilder.notifications import models as messages
from guilder.payment_requests.models import PaymentRequest
from guilder.payments.models import Payment
from guilder.payouts.models import Payout
from guilder.privacy.models import Closing
from guilder.schedules.models import Occurrence, Schedule
from guilder.storage.base import Document, Scalar
from guilder.wallets.models import Wallet


class Key(StrEnum):
    """What of a person stands in the field that a document is found by."""

    USER = "user"
    WALLET = "wallet"


class AtClosing(StrEnum):
    """What happens to documents when their person closes the account."""

    ERASED = "erased"
    """They are removed."""
    KEPT = "kept"
    """They belong to the books, or to the record of who did what. They hold ids, not names."""
    EMPTIED = "emptied"
    """The document stays, so that ids still lead somewhere. What is personal in it is erased."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a person's documents are found.

    Args:
        field: First field of a declared index; `id` for the one document of that id.
        key: What is looked for in it.
        order: The index's last field, if it has another one.
        also: What stands in the index's fields between these.
    """

    field: str
    key: Key = Key.USER
    order: str | None = None
    also: tuple[tuple[str, Scalar], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Documents about a person.

    Args:
        section: Their name in the copy.
        looks: Each way to find them; whoever is found twice is shown once.
        shown: The fields that the person gets, beside `created_at`. Sealed ones are opened.
        at_closing: What becomes of them.
        shows_id: The id is no hash of a secret.
        parents: The documents belong to those of this section, by whose id they are found.
    """

    model: type[Document]
    section: str
    looks: tuple[Look, ...]
    shown: tuple[str, ...]
    at_closing: AtClosing
    parents: str | None = None
    shows_id: bool = True


_BY_USER: Final = (Look("user_id"),)
_BY_USER_IN_TIME: Final = (Look("user_id", order="created_at"),)
_MONEY: Final = ("amount_minor", "currency")

HOLDINGS: Final[tuple[Holding, ...]] = (
    Holding(
        model=identity.User,
        section="user",
        looks=(Look("id"),),
        shown=(
            "updated_at",
            "name",
            "email",
            "phone",
            "wallet_id",
            "email_verified_at",
            "phone_verified_at",
            "role",
        ),
        at_closing=AtClosing.EMPTIED,
    ),
    Holding(
        model=Wallet,
        section="wallet",
        looks=_BY_USER,
        shown=("updated_at", "default_currency", "is_frozen", "is_closed", "tier"),
        at_closing=AtClosing.KEPT,
    ),
    Holding(
        model=identity.ContactChange,
        section="contact_changes",
        looks=_BY_USER,
        shown=("contact", "expires_at"),
        at_closing=AtClosing.ERASED,
    ),
    Holding(
        model=identity.Session,
        section="sessions",
        looks=_BY_USER_IN_TIME,
        shown=("expires_at", "rotated_at", "revoked_at", "revoked_because", "device", "place"),
        at_closing=AtClosing.ERASED,
    ),
    Holding(
        model=identity.KnownDevice,
        section="known_devices",
        looks=_BY_USER,
        shown=("expires_at",),
        at_closing=AtClosing.ERASED,
        shows_id=False,
    ),
    Holding(
        model=outside.OutsideAccount,
        section="linked_accounts",
        looks=(Look("user_id", order="provider"),),
        shown=("provider", "email"),
        at_closing=AtClosing.ERASED,
        shows_id=False,
    ),
    Holding(
        model=factors.TotpFactor,
        section="authenticator_apps",
        looks=(Look("id"),),
        shown=("confirmed_at",),
        at_closing=AtClosing.ERASED,
    ),
    Holding(
        model=factors.RecoveryCode,
        section="recovery_codes",
        looks=_BY_USER,
        shown=(),
        at_closing=AtClosing.ERASED,
        shows_id=False,
    ),
    Holding(
        model=factors.TrustedDevice,
        section="trusted_devices",
        looks=_BY_USER_IN_TIME,
        shown=("device", "expires_at"),
        at_closing=AtClosing.ERASED,
    ),
    Holding(
        model=passkeys.Passkey,
        section="passkeys",
        looks=_BY_USER_IN_TIME,
        shown=(
            "name",
            "transports",
            "aaguid",
            "is_synced",
            "last_used_at",
            "copy_suspected_at",
        ),
        at_closing=AtClosing.ERASED,
    ),
    Holding(
        model=api_keys.ApiKey,
        section="api_keys",
        looks=tuple(
            Look("user_id", order="created_at", also=(("is_revoked", is_revoked),))
            for is_revoked in (False, True)
        ),
        shown=(
            "name",
            "mode",
            "prefix",
            "scopes",
            "limits",
            "addresses",
            "expires_at",
            "rotated_at",
            "is_revoked",
        ),
        at_closing=AtClosing.EMPTIED,
    ),
    Holding(
        model=api_keys.ApiKeySecret,
        section="api_key_secrets",
        looks=(Look("key_id"),),
        shown=("key_id", "ends_at"),
        at_closing=AtClosing.ERASED,
        parents="api_keys",
        shows_id=False,
    ),
    Holding(
        model=api_keys.ApiKeyUsage,
        section="api_key_usage",
        looks=(Look("id"),),
        shown=("requests", "last_used_at", "days"),
        at_closing=AtClosing.ERASED,
        parents="api_keys",
    ),
    Holding(
        model=KycDocument,
        section="kyc_documents",
        looks=_BY_USER_IN_TIME,
        shown=("kind", "provider", "reference", "state", "reason", "decided_at"),
        at_closing=AtClosing.ERASED,
    ),
    Holding(
        model=Payment,
        section="payments",
        looks=_BY_USER_IN_TIME,
        shown=(
            "updated_at",
            *_MONEY,
            "gateway",
            "reference",
            "status",
            "failure_code",
            "return_url",
            "transfer_id",
        ),
        at_closing=AtClosing.KEPT,
    ),
    Holding(
        model=Payout,
        section="payouts",
        looks=_BY_USER_IN_TIME,
        shown=(
            "updated_at",
            *_MONEY,
            "gateway",
            "reference",
            "status",
            "failure_code",
            "destination_type",
            "destination_token",
            "settlement_id",
        ),
        at_closing=AtClosing.KEPT,
    ),
    Holding(
        model=PaymentRequest,
        section="payment_requests",
        looks=(
            Look("payee_wallet_id", Key.WALLET, "created_at"),
            Look("payer_wallet_id", Key.WALLET, "created_at"),
        ),
        shown=(
            "updated_at",
            *_MONEY,
            "payee_wallet_id",
            "payee_name",
            "payer_wallet_id",
            "description",
            "expires_at",
            "status",
            "transfer_id",
        ),
        at_closing=AtClosing.EMPTIED,
    ),
    Holding(
        model=Schedule,
        section="schedules",
        looks=(Look("wallet_id", Key.WALLET, "created_at"),),
        shown=(
            "updated_at",
            *_MONEY,
            "to_wallet_id",
            "description",
            "start_at",
            "every",
            "count",
            "until",
            "status",
        ),
        at_closing=AtClosing.KEPT,
    ),
    Holding(
        model=Occurrence,
        section="schedule_occurrences",
        looks=(Look("schedule_id", order="number"),),
        shown=("schedule_id", "number", "due_at", "status", "transfer_id", "failure_code"),
        at_closing=AtClosing.KEPT,
        parents="schedules",
    ),
    Holding(
        model=messages.Message,
        section="messages",
        looks=_BY_USER_IN_TIME,
        # Neither receiver nor content: both are erased when it is sent, and it may hold a code.
        shown=("channel", "template", "state", "sent_at", "failure"),
        at_closing=AtClosing.ERASED,
    ),
    Holding(
        model=audit.AuditEvent,
        section="security_events",
        looks=(Look("subject", order="created_at"),),
        # Not who did it: it may have been somebody else.
        shown=("action", "outcome", "details"),
        at_closing=AtClosing.KEPT,
    ),
    Holding(
        model=Closing,
        section="account_closing",
        looks=(Look("id"),),
        shown=("state",),
        at_closing=AtClosing.KEPT,
    ),
)
"""In the order of the copy."""

APART: Final[Mapping[type[Document], str]] = MappingProxyType(
    {
        audit.AuditWaiting: "an event's id, until it is sealed",
        audit.AuditSeal: "an event's id, place and hash",
        audit.AuditHead: "where the chain of events ends",
        identity.RegistrationAnswer: "for retries of a registration, found by its key only, "
        "sealed; removed after its time",
        identity.Throttle: "counters, found by keyed hashes only; removed after their time",
        identity.OneTimeCode: "keyed hashes; removed after minutes",
        identity.SpentCode: "that a code was used; removed after minutes",
        identity.MailLink: "the hash of a token, a secret; removed after its time",
        factors.Challenge: "what a factor was asked for, as a keyed hash; removed after minutes",
        passkeys.PasskeyChallenge: "a challenge without an answer; removed after minutes",
        outside.OutsideAttempt: "secrets of a sign-in under way, sealed; removed after minutes",
        outside.OutsideAnswer: "a sign-in under way, sealed, found by its code only; removed after "
        "minutes",
        api_keys.ApiKeyQuota: "a counter of one window, by the key's id; removed after it",
        gateways.WebhookReceipt: "what a gateway said, of payments and payouts by their ids",
        messages.Brake: "counters, found by keyed hashes only; removed after their time",
        messages.MailboxLetter: "development only, sealed; removed after an hour",
        FollowerPosition: "how far the journal has been read",
        Checkpoint: "of the whole book",
        simulator.SimulatedPayment: "the simulated company's own books",
        simulator.SimulatedPayout: "the simulated company's own books",
        simulator.Delivery: "the simulated company's own webhooks",
        simulator.FaultScript: "what a test asked the simulator for",
    }
)
"""The other models, and why they are in no copy."""
