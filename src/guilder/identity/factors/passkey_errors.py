"""The rules of passkeys that a request can break. One refusal for whatever is wrong with one."""

from guilder.kernel.errors import GuilderError, Kind


class PasskeyRefused(GuilderError):
    """A passkey answers the latest challenge, on one of our pages, after its owner has shown the
    device who they are; it is known here, belongs to whom it is to sign in, and is no copy.

    Args:
        because: Which of that does not hold, in one word: for our own record.
        user_id: Whose passkey it names, if it is known: for our own record.
    """

    code = "passkey_refused"
    kind = Kind.UNAUTHENTICATED
    title = "The passkey is not accepted"

    def __init__(self, because: str, *, user_id: str | None = None) -> None:
        # One sentence for every cause: which check failed is of use to an attacker only.
        super().__init__("Ask for a new challenge and try again, or use another way to sign in.")
        self.because = because
        self.user_id = user_id


class PasskeyNotMade(GuilderError):
    """A new passkey answers a challenge that its user was given a moment ago, on one of our pages,
    after its owner has shown the device who they are, and its key is of a kind that we can verify.
    """

    code = "passkey_not_made"
    kind = Kind.INVALID
    title = "The new passkey cannot be accepted"

    def __init__(self) -> None:
        super().__init__("Ask for new options and make the passkey again, on a device with a lock.")


class PasskeyKnown(GuilderError):
    """A passkey is added once."""

    code = "passkey_known"
    kind = Kind.CONFLICT
    title = "The passkey was added before"

    def __init__(self) -> None:
        super().__init__("Each passkey is added once: make a new one.")


class TooManyPasskeys(GuilderError):
    """Nobody has more passkeys than devices."""

    code = "too_many_passkeys"
    kind = Kind.CONFLICT
    title = "You have as many passkeys as are kept"

    def __init__(self) -> None:
        super().__init__("Remove a passkey that you do not use any more, then add this one.")


class PasskeyLastWayIn(GuilderError):
    """The last passkey is removed only while something else still signs its user in."""

    code = "passkey_last_way_in"
    kind = Kind.CONFLICT
    title = "You could not sign in any more"

    def __init__(self) -> None:
        super().__init__("Add another passkey or confirm an e-mail address first.")
