"""The rules of personal data."""

from guilder.kernel.errors import GuilderError, Kind


class AccountInUse(GuilderError):
    """An account is closed when nothing stands, is held, or is on its way in it."""

    code = "account_in_use"
    kind = Kind.CONFLICT
    title = "There is still money in the account or on its way"
