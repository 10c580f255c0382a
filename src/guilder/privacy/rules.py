"""What stands in the way of closing an account. Without I/O or a clock."""

from collections.abc import Iterable, Iterator

from guilder.kernel.errors import FieldError
from guilder.payments.models import Payment
from guilder.payments.rules import PaymentStatus
from guilder.payouts.models import Payout
from guilder.payouts.rules import PayoutStatus
from guilder.privacy.errors import AccountInUse
from guilder.storage.records import Account

_NAMED_MAX = 20
"""So many things are named at most; the rest is there when these are gone."""
_OPEN_PAYOUTS = (PayoutStatus.REQUESTED, PayoutStatus.SENT)


def is_open_payment(payment: Payment) -> bool:
    """Tell whether money may still arrive by a payment."""
    return payment.status is PaymentStatus.PENDING


def is_open_payout(payout: Payout) -> bool:
    """Tell whether the money of a payout may still come back."""
    return payout.status in _OPEN_PAYOUTS


def refuse_in_use(
    accounts: Iterable[Account], payments: Iterable[Payment], payouts: Iterable[Payout]
) -> None:
    """Refuse to close an account in which something is, and say what.

    Args:
        accounts: All accounts of the wallet.
        payments: Those that are open.
        payouts: Those that are open.

    Raises:
        AccountInUse: With a field error for each currency, payment and payout.
    """
    found = [*_balances(accounts), *_on_their_way(payments, payouts)]
    if found:
        raise AccountInUse(
            "Take out or send what is there, and let what is on its way end.",
            fields=tuple(found[:_NAMED_MAX]),
        )


def _balances(accounts: Iterable[Account]) -> Iterator[FieldError]:
    for each in sorted(accounts, key=lambda account: account.asset):
        pointer = f"/balances/{each.asset}"
        if each.available:
            yield FieldError(pointer, "money_left", f"{each.available} minor units are there.")
        if each.pending_out:
            detail = f"{each.pending_out} minor units are held for others."
            yield FieldError(pointer, "money_held", detail)
        if each.pending_in:
            detail = f"{each.pending_in} minor units are held elsewhere for this wallet."
            yield FieldError(pointer, "money_expected", detail)


def _on_their_way(payments: Iterable[Payment], payouts: Iterable[Payout]) -> Iterator[FieldError]:
    for payment in payments:
        detail = "It is neither paid nor over. Cancel it at the gateway, or wait."
        yield FieldError(f"/payments/{payment.id}", "payment_open", detail)
    for payout in payouts:
        detail = "It has neither arrived nor come back. Wait for it."
        yield FieldError(f"/payouts/{payout.id}", "payout_open", detail)
