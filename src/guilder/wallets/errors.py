"""The rules of wallets that the ledger does not know of."""

from guilder.kernel.errors import GuilderError, Kind


class RecipientNotFound(GuilderError):
    """Whoever is to get or to pay money has a wallet."""

    code = "recipient_not_found"
    kind = Kind.NOT_FOUND
    title = "There is no such recipient"
