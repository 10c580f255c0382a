"""What must agree before a gateway's word about money is believed. Without I/O or a clock."""

from dataclasses import dataclass

from guilder.gateways.base import GatewayPayment, GatewayPayout
from guilder.kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What we asked a gateway for. Features add where it stands with them.

    Args:
        reference: The gateway's id; None while the answer that names it is missing.
    """

    our_reference: str
    reference: str | None
    money: Money
    is_live: bool


def difference(asked: Asked, found: GatewayPayment | GatewayPayout) -> str | None:
    """Return the first thing that is not what we asked for, in this declared order.

    Invariants:
        None only if amount, currency, both references and the mode are what we asked for.
    """
    if found.our_reference != asked.our_reference:
        return "our_reference_differs"
    if asked.reference is not None and found.reference != asked.reference:
        return "reference_differs"
    if found.is_live is not asked.is_live:
        return "mode_differs"
    if found.money.currency != asked.money.currency:
        return "currency_differs"
    if found.money.amount_minor != asked.money.amount_minor:
        return "amount_differs"
    return None
