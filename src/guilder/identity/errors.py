"""The rules of identity that a request can break. None of them tells whether an account exists."""

from guilder.kernel.errors import GuilderError, Kind
from guilder.ledger.errors import Overloaded


class Unauthenticated(GuilderError):
    """The request carries a valid access token of a session that has not ended."""

    code = "unauthenticated"
    kind = Kind.UNAUTHENTICATED
    title = "Sign in first"

    def __init__(self) -> None:
        # One sentence for every cause: which check failed is of use to an attacker only.
        super().__init__("Send a valid access token as `Authorization: Bearer <token>`.")


class InvalidCredentials(GuilderError):
    """The password is that of the account named. An unknown account gets the same answer."""

    code = "invalid_credentials"
    kind = Kind.UNAUTHENTICATED
    title = "Wrong sign-in details"

    def __init__(self) -> None:
        super().__init__("The e-mail address or phone number and the password do not match.")


class RefreshTokenInvalid(GuilderError):
    """A refresh token is one of ours, and its session has neither ended nor expired."""

    code = "refresh_token_invalid"
    kind = Kind.UNAUTHENTICATED
    title = "The refresh token is not valid"

    def __init__(self) -> None:
        super().__init__("Sign in again: this refresh token is unknown, or its session is over.")


class RefreshTokenReused(GuilderError):
    """A refresh token is used once. Used again after its grace, its whole session ends, because one
    of the two users is a thief and nobody can tell which.
    """

    code = "refresh_token_reused"
    kind = Kind.UNAUTHENTICATED
    title = "The refresh token was used before"

    def __init__(self) -> None:
        super().__init__("This refresh token was replaced already. The session has been ended.")


class PasswordChecksBusy(Overloaded):
    """Passwords are checked a few at a time, and only so many may wait: each costs a processor
    about a quarter of a second, so an unbounded queue would be a way to take the service down.
    """

    title = "Too many sign-ins at once"

    def __init__(self) -> None:
        super().__init__("Try again in a few seconds.", retry_after_s=2)
