"""The rules of holds that the ledger does not know of."""

from guilder.kernel.errors import GuilderError, Kind


class HoldNotExpired(GuilderError):
    """Until a hold expires, what it reserves is the recipient's to take or to release."""

    code = "hold_not_expired"
    kind = Kind.CONFLICT
    title = "The hold has not expired yet"
