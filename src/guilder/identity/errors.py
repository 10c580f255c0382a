"""The rules of identity that a request can break. None of them tells whether an account exists,
but to whoever reads what is sent to its address or number.
"""

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


class Forbidden(GuilderError):
    """The user's role, and the scopes of the key if one is used, allow what the request does."""

    code = "forbidden"
    kind = Kind.FORBIDDEN
    title = "Not allowed"

    def __init__(self, permission: str) -> None:
        super().__init__(f"This needs the permission `{permission}`, which you have not got.")


class SignedInWithoutSecondFactor(GuilderError):
    """Whoever works for the deployment does so in a session that was opened with a second factor:
    an app's code, a passkey or a recovery code, given at that very sign-in. What concerns one's own
    account alone needs none, so that a factor can be set up.
    """

    code = "signed_in_without_second_factor"
    kind = Kind.FORBIDDEN
    title = "Sign in with a second factor"

    def __init__(self) -> None:
        super().__init__(
            "Set up an app (`/v1/factors/totp`) or a passkey (`/v1/factors/passkeys`) if you have "
            "none, then sign in again and give it."
        )


class CsrfRefused(GuilderError):
    """Whoever changes something with a cookie shows that a page of ours asks for it: the browser
    names our own site, and `CSRF-Token` has what the cookie `__Host-guilder-csrf` holds.
    """

    code = "csrf_refused"
    kind = Kind.FORBIDDEN
    title = "The request may come from another site"

    def __init__(self) -> None:
        super().__init__("Send `CSRF-Token` with the value of the cookie `__Host-guilder-csrf`.")


class InvalidCredentials(GuilderError):
    """The password is that of the account named. An unknown account gets the same answer, and so
    does, where that is asked for, an address or number that nobody has shown to be their own.
    """

    code = "invalid_credentials"
    kind = Kind.UNAUTHENTICATED
    title = "Wrong sign-in details"

    def __init__(self) -> None:
        super().__init__(
            "The e-mail address or phone number and the password do not match, or it is not "
            "confirmed yet: sign in with a code that is sent to the e-mail address."
        )


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


class TooManyAttempts(GuilderError):
    """After a few failures in a row each further attempt waits, twice as long every time. Accounts
    that do not exist are answered alike, and nobody who is signed in is affected.

    Args:
        wait_s: Whole seconds until the next attempt is looked at.
    """

    code = "too_many_attempts"
    kind = Kind.LIMITED
    title = "Too many attempts"
    retryable = True

    def __init__(self, wait_s: int) -> None:
        super().__init__(
            f"Wait {wait_s} s before the next attempt, or use another way to sign in.",
            retry_after_s=wait_s,
        )


class CodeWrong(GuilderError):
    """A one-time code is the latest that was sent for this, and it is given within five attempts
    and only once. What was never sent, was replaced, or was used gets the same answer.
    """

    code = "code_wrong"
    kind = Kind.INVALID
    title = "The code is not right"

    def __init__(self) -> None:
        super().__init__("Enter the latest code, or ask for a new one: each can be tried 5 times.")


class CodeExpired(GuilderError):
    """A right code is given within ten minutes. Only whoever has the code learns that it is old."""

    code = "code_expired"
    kind = Kind.EXPIRED
    title = "The code has expired"

    def __init__(self) -> None:
        super().__init__("Ask for a new code.")


class ContactTaken(GuilderError):
    """An address or number belongs to one account: the first to show that it is its own. Only
    whoever reads what is sent there, too, learns that another account was first.
    """

    code = "contact_taken"
    kind = Kind.CONFLICT
    title = "Another account has this address or number"

    def __init__(self) -> None:
        super().__init__("Sign in to that account with a code that is sent there, or use another.")


class LinkInvalid(GuilderError):
    """The link of a message is one of ours, not yet used and not yet expired."""

    code = "link_invalid"
    kind = Kind.EXPIRED
    title = "The link does not work any more"

    def __init__(self) -> None:
        super().__init__("Ask for a new link: this one was used, has expired or is none of ours.")


class PasswordWrong(GuilderError):
    """Whoever changes something that protects an account gives its password again."""

    code = "password_wrong"
    kind = Kind.FORBIDDEN
    title = "Wrong password"

    def __init__(self) -> None:
        super().__init__("This is not your password. If you have lost it, set a new one by e-mail.")


class SmsNotOffered(GuilderError):
    """Codes go to a phone number only where SMS are set up."""

    code = "sms_not_offered"
    kind = Kind.CONFLICT
    title = "No SMS are sent here"

    def __init__(self) -> None:
        super().__init__("Use the e-mail address instead.")
