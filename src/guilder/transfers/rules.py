"""What a transfer between wallets is, and how the sender's own notes are kept in it."""

from guilder.ledger.chart import AccountCode
from guilder.storage.records import Account, Transfer, TransferKind

META = "meta:"
"""Begins the name of every note, so that none is taken for what the platform writes down."""

_MOVES = (TransferKind.POST, TransferKind.CAPTURE, TransferKind.PARTIAL_CAPTURE)


def is_between_wallets(transfer: Transfer, debit: Account, credit: Account) -> bool:
    """Tell whether it moved money from one wallet to another, directly or by a capture."""
    return (
        transfer.kind in _MOVES and debit.code == credit.code and debit.code == AccountCode.WALLET
    )


def notes_of(transfer: Transfer) -> dict[str, str]:
    """Return the sender's own notes."""
    return {
        name.removeprefix(META): value
        for name, value in transfer.metadata.items()
        if name.startswith(META)
    }
