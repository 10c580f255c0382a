"""The rules of a transfer between wallets that the ledger does not know of."""

from guilder.kernel.errors import GuilderError, Kind


class RecipientNotFound(GuilderError):
    """The recipient of a transfer has a wallet."""

    code = "recipient_not_found"
    kind = Kind.NOT_FOUND
    title = "There is no such recipient"
