"""The error tree: what may go wrong, under a stable code, without a word of HTTP.

    Exception
    ├── GuilderError              expected: the caller can act on it
    │   ├── Malformed             cannot be read at all
    │   ├── InvalidRequest        the request itself is wrong, field by field
    │   ├── NotFound              missing, or another's: the answer is the same
    │   ├── Unavailable           a dependency is away; the same request may be sent again
    │   └── <feature>/errors.py   one class per broken rule
    └── InvariantViolation        our fault: never caught, never explained to the caller

`middlewares/problems.py` maps `Kind` to a status; the command line and followers need no HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

_NOTHING: Mapping[str, object] = MappingProxyType({})


class Kind(StrEnum):
    """The class of an error, from which a transport derives its own status."""

    MALFORMED = "malformed"
    """Cannot be read at all."""
    INVALID = "invalid"
    """Read, but breaks a rule."""
    UNAUTHENTICATED = "unauthenticated"
    """Nobody is signed in."""
    FORBIDDEN = "forbidden"
    """Signed in, but not allowed."""
    NOT_COVERED = "not_covered"
    """Valid, but there is no money for it."""
    NOT_FOUND = "not_found"
    """Missing, or another's."""
    METHOD_NOT_ALLOWED = "method_not_allowed"
    """The resource exists and does not do that."""
    CONFLICT = "conflict"
    """The state of the object does not allow it now."""
    EXPIRED = "expired"
    """Was possible once; its time has passed."""
    TOO_LARGE = "too_large"
    """More bytes than are read."""
    UNSUPPORTED = "unsupported"
    """A media type that is not read."""
    FROZEN = "frozen"
    """Stopped by an operator or its owner."""
    LIMITED = "limited"
    """Too often; later is fine."""
    UNAVAILABLE = "unavailable"
    """Our dependency is away or we are full; later is fine."""
    INTERNAL = "internal"
    """Our fault."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field of a request.

    Args:
        pointer: RFC 6901 pointer into the body, such as `/amount`.
        code: Stable, snake_case: the broken rule.
        detail: A sentence for people.
    """

    pointer: str
    code: str
    detail: str


class GuilderError(Exception):
    """A broken rule. Subclasses fix `code`, `kind` and `title`; their docstring is the rule.

    Args:
        detail: A sentence for people: what to do about it. No secret, no other party's balance.
        fields: The fields at fault, if it is about fields.
        retry_after_s: Whole seconds after which the same request may succeed.
        extension: What this error tells a program beside that, by name; JSON values.

    Attributes:
        extension_example: What `extension` may look like, for the description of the API.
    """

    code: ClassVar[str] = "internal"
    kind: ClassVar[Kind] = Kind.INTERNAL
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False
    extension_example: ClassVar[Mapping[str, object]] = _NOTHING

    def __init__(
        self,
        detail: str = "",
        *,
        fields: tuple[FieldError, ...] = (),
        retry_after_s: int | None = None,
        extension: Mapping[str, object] = _NOTHING,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.fields = fields
        self.retry_after_s = retry_after_s
        self.extension = extension


class Malformed(GuilderError):
    """The request can be read, and everybody reads it the same way: valid UTF-8, valid JSON,
    no name twice in one object, no NUL characters, cursors as they were given out.
    """

    code = "malformed"
    kind = Kind.MALFORMED
    title = "The request cannot be read"


class InvalidRequest(GuilderError):
    """Every field has the declared type, range and form."""

    code = "invalid"
    kind = Kind.INVALID
    title = "The request is not valid"


class NotFound(GuilderError):
    """The object exists and is the caller's to see."""

    code = "not_found"
    kind = Kind.NOT_FOUND
    title = "Not found"


class Unavailable(GuilderError):
    """Everything that the answer depends on can be reached. The outcome of a write is unknown:
    the same request under the same idempotency key finds it out.
    """

    code = "unavailable"
    kind = Kind.UNAVAILABLE
    title = "Temporarily unavailable"
    retryable = True


class InvariantViolation(Exception):
    """A promise of our own code was broken. Never shown to a caller, never caught to go on."""


def check(condition: object, message: str) -> None:
    """Raise `InvariantViolation` unless `condition` holds. Unlike `assert`, it survives `-O`."""
    if not condition:
        raise InvariantViolation(message)
