"""What can go wrong when somebody signs in by another company. A class for each rule."""

from collections.abc import Mapping
from typing import ClassVar

from guilder.kernel.errors import GuilderError, Kind


class OutsideProviderUnknown(GuilderError):
    """A company that people sign in by is one that this service was set up with."""

    code = "outside_provider_unknown"
    kind = Kind.NOT_FOUND
    title = "There is no such sign-in"

    def __init__(self) -> None:
        super().__init__("`GET /v1/auth/outside` lists the companies that can be used here.")


class OutsideAttemptInvalid(GuilderError):
    """An attempt to sign in by another company is finished once, within ten minutes, by the client
    that began it. Whoever has not got its verifier ends the attempt by trying.
    """

    code = "outside_attempt_invalid"
    kind = Kind.EXPIRED
    title = "The attempt is over"

    def __init__(self) -> None:
        super().__init__("Begin again: this attempt is unknown, was used, or has expired.")


class OutsideDenied(GuilderError):
    """The user agrees, on the other company's page, to be signed in."""

    code = "outside_denied"
    kind = Kind.FORBIDDEN
    title = "Signing in was cancelled"

    def __init__(self) -> None:
        super().__init__("The other company was not allowed to say who this is.")


class OutsideAnswerRefused(GuilderError):
    """What another company says of somebody is signed by it, meant for us, fresh, and belongs to
    the very attempt that asked.

    Args:
        because: One word for the record; never shown to the client.
    """

    code = "outside_answer_refused"
    kind = Kind.UNAUTHENTICATED
    title = "The other company's answer is not to be believed"

    def __init__(self, because: str) -> None:
        super().__init__("Begin again, or use another way to sign in.")
        self.because = because


class OutsideUnavailable(GuilderError):
    """The other company can be reached, and answers in time."""

    code = "outside_unavailable"
    kind = Kind.UNAVAILABLE
    title = "The other company does not answer"
    retryable = True

    def __init__(self) -> None:
        super().__init__("Try again later, or use another way to sign in.", retry_after_s=10)


class SignInToLink(GuilderError):
    """An account that has the same e-mail address is never linked because of it: its owner signs in
    as before, and links the other company's account in the settings.
    """

    code = "sign_in_to_link"
    kind = Kind.CONFLICT
    title = "There is an account with this address"

    def __init__(self) -> None:
        super().__init__(
            "Sign in as you did before, by password or by a code to your e-mail address; "
            "then link this account in the settings."
        )


class OutsideEmailNeeded(GuilderError):
    """A new user needs an e-mail address that is known to be theirs. Where the other company
    vouches for none, they register with one first, and link the other account afterwards.

    Args:
        name: As the other company tells it.
        email: As it tells it, unchecked: good for nothing but a form that is filled in already.
    """

    code = "outside_email_needed"
    kind = Kind.CONFLICT
    title = "An e-mail address is needed"
    extension_example: ClassVar[Mapping[str, object]] = {
        "hint": {"name": "First Payer", "email": "payer@example.com"}
    }

    def __init__(self, *, name: str, email: str | None) -> None:
        super().__init__(
            "Register with an e-mail address first, or sign in; then link this account in the "
            "settings.",
            extension={"hint": {"name": name, "email": email}},
        )


class OutsideAlreadyLinked(GuilderError):
    """An account at another company belongs to one user, who has one there."""

    code = "outside_already_linked"
    kind = Kind.CONFLICT
    title = "Already linked"

    def __init__(self) -> None:
        super().__init__("Unlink the other one first, or sign in by it.")


class OutsideLastWayIn(GuilderError):
    """What is unlinked is not the only way into the account."""

    code = "outside_last_way_in"
    kind = Kind.CONFLICT
    title = "This is the only way in"

    def __init__(self) -> None:
        super().__init__("Confirm an e-mail address first, or link another account.")
