"""The transfers of a payout: into transit, and out of it again, one way or the other."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from guilder.gateways.base import Destination, DestinationType
from guilder.kernel.errors import check
from guilder.kernel.ids import UserId, WalletId, derived_uuid, encode_id
from guilder.kernel.money import Money
from guilder.ledger.chart import AccountCode, system_account
from guilder.ledger.limits import Limit
from guilder.ledger.models import TransferRequest
from guilder.payouts.models import Payout
from guilder.payouts.rules import PayoutStatus
from guilder.storage.records import Account, Transfer
from guilder.wallets.accounts import wallet_account

REQUESTED, PAID, RETURNED = "payout", "payout_paid", "payout_returned"
"""Codes of the three transfers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What somebody wants to take out of a wallet. `gateway` is the name of one that is set up."""

    user_id: UserId
    wallet_id: WalletId
    money: Money
    gateway: str
    destination: Destination
    description: str


def transit_account(gateway: str, asset: str, *, now: datetime) -> Account:
    """Return the account of what is on its way out through a gateway."""
    return system_account(AccountCode.PAYOUTS_IN_TRANSIT, owner=gateway, asset=asset, now=now)


def clearing_account(gateway: str, asset: str, *, now: datetime) -> Account:
    """Return the account of what a gateway owes us."""
    return system_account(AccountCode.GATEWAY_CLEARING, owner=gateway, asset=asset, now=now)


def request_of(
    withdrawal: Withdrawal,
    *,
    key: str,
    fingerprint: bytes,
    now: datetime,
    limits: tuple[Limit, ...] = (),
) -> TransferRequest:
    """Return the transfer that is the intent of a payout: out of the wallet, into transit.

    Invariants:
        Its id follows from the user and the idempotency key. It carries
        everything that the payout is made of, and no secret.
    """
    asset = withdrawal.money.currency.code
    return TransferRequest(
        id=payout_id_of(withdrawal.user_id, key),
        debit_account_id=wallet_account(withdrawal.wallet_id, asset, now=now).id,
        credit_account_id=transit_account(withdrawal.gateway, asset, now=now).id,
        amount_minor=withdrawal.money.amount_minor,
        asset=asset,
        code=REQUESTED,
        fingerprint=fingerprint,
        limits=limits,
        metadata={
            "user_id": withdrawal.user_id,
            "wallet_id": withdrawal.wallet_id,
            "gateway": withdrawal.gateway,
            "destination_type": withdrawal.destination.type,
            "destination_token": withdrawal.destination.token,
            "description": withdrawal.description,
        },
    )


def payout_id_of(user_id: UserId, key: str) -> UUID:
    """Return the id that a user's idempotency key stands for."""
    return derived_uuid("payout", user_id, key)


def payout_of(transfer: Transfer) -> Payout:
    """Return the payout that a transfer asked for, as it is when new. Pure: the same for ever."""
    check(transfer.code == REQUESTED, "a payout is asked for by its own kind of transfer")
    said = transfer.metadata
    return Payout(
        id=encode_id("payout", transfer.id),
        user_id=UserId(said["user_id"]),
        wallet_id=WalletId(said["wallet_id"]),
        amount_minor=transfer.amount_minor,
        currency=transfer.asset,
        gateway=said["gateway"],
        destination_type=DestinationType(said["destination_type"]),
        destination_token=said["destination_token"],
        status=PayoutStatus.REQUESTED,
        next_check_at=transfer.created_at,
        created_at=transfer.created_at,
        updated_at=transfer.created_at,
    )


def settlement_of(payout: Payout, *, is_paid: bool) -> TransferRequest:
    """Return the transfer that ends a payout: out of transit, on to the gateway or back.

    Invariants:
        Both ends have one id, so the journal holds at most one of them,
        whoever says what how often. Money that comes back came back once.
    """
    now = payout.created_at
    code = PAID if is_paid else RETURNED
    if is_paid:
        credit = clearing_account(payout.gateway, payout.currency, now=now)
    else:
        credit = wallet_account(payout.wallet_id, payout.currency, now=now)
    said = (payout.id, code, str(payout.amount_minor), payout.currency)
    return TransferRequest(
        id=derived_uuid("payout-settlement", payout.id),
        debit_account_id=transit_account(payout.gateway, payout.currency, now=now).id,
        credit_account_id=credit.id,
        amount_minor=payout.amount_minor,
        asset=payout.currency,
        code=code,
        fingerprint=hashlib.sha256("\n".join(said).encode()).digest(),
        metadata={"payout_id": payout.id, "gateway": payout.gateway},
    )
