"""What can be wrong with a sealed text."""

from typing import ClassVar

from guilder.kernel.errors import GuilderError, Kind


class SealBroken(GuilderError):
    """A sealed value opens only under a key we have, unchanged, and in the place it was sealed for.

    Somebody changed the database, or the key that sealed it is not given any more.
    """

    code: ClassVar[str] = "seal_broken"
    kind: ClassVar[Kind] = Kind.INTERNAL
    title: ClassVar[str] = "A stored value cannot be opened"
