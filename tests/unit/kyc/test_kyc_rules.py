"""What documents prove, how they may change, and whose word is taken for it."""

from datetime import timedelta

import msgspec
import pytest

from guilder.kernel.errors import NotFound
from guilder.kernel.ids import WalletId
from guilder.kyc.errors import CallbackInvalid, DocumentDecided
from guilder.kyc.providers import Finding, Providers, SimulatedProvider
from guilder.kyc.rules import (
    Decider,
    DocumentKind,
    DocumentState,
    may_become,
    refuse_impossible,
    tier_of,
)
from guilder.wallets.limits import SpendingLimits
from guilder.wallets.tiers import Tier, TierLimits
from tests.support.holdings import NOON

SUBMITTED, IN_REVIEW, APPROVED, REFUSED = DocumentState
PROVIDER = SimulatedProvider(b"secret of a provider, 32 bytes or more")
FOUND = Finding(document_id="kyc_document_test", state=APPROVED)


@pytest.mark.parametrize(
    ("approved", "tier"),
    [
        ([], Tier.NONE),
        ([DocumentKind.PROOF_OF_ADDRESS], Tier.NONE),
        ([DocumentKind.PASSPORT], Tier.BASIC),
        ([DocumentKind.ID_CARD, DocumentKind.DRIVING_LICENCE], Tier.BASIC),
        ([DocumentKind.RESIDENCE_PERMIT, DocumentKind.PROOF_OF_ADDRESS], Tier.FULL),
    ],
)
def test_what_documents_come_to(approved: list[DocumentKind], tier: Tier) -> None:
    assert tier_of(approved) is tier


def test_which_steps_there_are() -> None:
    steps = {
        (old, new, by)
        for old in DocumentState
        for new in DocumentState
        for by in Decider
        if may_become(old, new, by=by)
    }
    both = {
        (SUBMITTED, IN_REVIEW),
        (SUBMITTED, APPROVED),
        (SUBMITTED, REFUSED),
        (IN_REVIEW, APPROVED),
        (IN_REVIEW, REFUSED),
    }
    assert steps == {
        *((old, new, by) for old, new in both for by in Decider),
        (APPROVED, REFUSED, Decider.OPERATOR),
    }


def test_a_step_that_there_is_not_is_refused() -> None:
    with pytest.raises(DocumentDecided) as refused:
        refuse_impossible(REFUSED, APPROVED, by=Decider.OPERATOR)
    assert refused.value.code == "document_decided"


def test_a_signed_finding_is_believed() -> None:
    headers, body = PROVIDER.signed(FOUND, now=NOON)
    assert PROVIDER.finding(headers, body, NOON) == FOUND
    assert PROVIDER.finding(headers, body, NOON + timedelta(minutes=5)) == FOUND


@pytest.mark.parametrize("seconds", [-301, 301, 86_400])
def test_a_stale_one_is_not(seconds: int) -> None:
    headers, body = PROVIDER.signed(FOUND, now=NOON)
    with pytest.raises(CallbackInvalid):
        PROVIDER.finding(headers, body, NOON + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "header",
    ["", "t=,v1=", "v1=00", "t=1,v1=00", "t=1700000000", "t=²,v1=00", "x" * 201, "t=-1,v1=0", "é"],
)
def test_a_header_that_is_none_is_refused(header: str) -> None:
    _, body = PROVIDER.signed(FOUND, now=NOON)
    with pytest.raises(CallbackInvalid) as refused:
        PROVIDER.finding({"kyc-signature": header}, body, NOON)
    assert refused.value.code == "kyc_callback_invalid"


def test_asvs_4_1_5_another_body_secret_or_time_is_refused() -> None:
    headers, body = PROVIDER.signed(FOUND, now=NOON)
    other = SimulatedProvider(b"another secret of 32 bytes or more!!")
    with pytest.raises(CallbackInvalid):
        other.finding(headers, body, NOON)
    with pytest.raises(CallbackInvalid):
        PROVIDER.finding(headers, body + b" ", NOON)
    moved = {"kyc-signature": headers["kyc-signature"].replace("t=1", "t=2", 1)}
    with pytest.raises(CallbackInvalid):
        PROVIDER.finding(moved, body, NOON)


@pytest.mark.parametrize(
    "said",
    [
        {"document_id": "x", "state": "submitted"},
        {"document_id": "x", "state": "best"},
        {"document_id": "x", "state": "refused", "reason": "x" * 201},
        {"document_id": "x", "state": "approved", "tier": "full"},
        {"state": "approved"},
        [],
    ],
)
def test_a_signed_body_that_says_something_else_is_refused(said: object) -> None:
    body = msgspec.json.encode(said)
    stamp = str(int(NOON.timestamp()))
    header = f"t={stamp},v1={PROVIDER._mac(stamp, body)}"
    with pytest.raises(CallbackInvalid):
        PROVIDER.finding({"kyc-signature": header}, body, NOON)


def test_a_provider_that_is_not_set_up_does_not_exist() -> None:
    assert Providers([PROVIDER]).pick("simulator") is PROVIDER
    with pytest.raises(NotFound):
        Providers().pick("simulator")


def test_the_limits_of_a_tier_stand_beside_the_others() -> None:
    tier = TierLimits(transfer={"USD": 5}, daily={"USD": 6}, monthly={"USD": 7})
    limits = SpendingLimits(per_transfer={"USD": 8}, tier=tier)
    wallet = WalletId("wallet_test")
    found = {each.name: (each.maximum, each.window) for each in limits.of(wallet, "USD")}
    assert found == {
        "per_transfer": (8, "transfer"),
        "tier_transfer": (5, "transfer"),
        "tier_daily": (6, "day"),
        "tier_monthly": (7, "month"),
    }
    assert limits.of(wallet, "EUR") == ()
