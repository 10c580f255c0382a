"""What storage refuses, the same for every engine."""

from guilder.kernel.errors import GuilderError, Kind, Unavailable


class DuplicateDocument(GuilderError):
    """No two documents of a collection share an id or the fields of a unique index.

    Args:
        index: Name of the index that has it already: `id`, or the joined field names.
    """

    code = "duplicate"
    kind = Kind.CONFLICT
    title = "It exists already"

    def __init__(self, index: str) -> None:
        super().__init__()
        self.index = index


class VersionConflict(GuilderError):
    """A document is replaced only by someone who has seen its latest version."""

    code = "version_conflict"
    kind = Kind.CONFLICT
    title = "It was changed in the meantime"


class StorageUnavailable(Unavailable):
    """The database answers. If COMMIT had been sent, the outcome is unknown: look the ids up."""

    title = "The database cannot be reached"


class UnsafeDatabase(GuilderError):
    """The database keeps what it acknowledges: no setting of it may lose a commit."""

    code = "unsafe_database"
    kind = Kind.UNAVAILABLE
    title = "The database is not set up to keep money"


class NotMigrated(GuilderError):
    """The database has every table of this version: `guilder migrate`, or a start, makes them."""

    code = "not_migrated"
    kind = Kind.UNAVAILABLE
    title = "The database is not up to date: run `guilder migrate`"


class DatabaseInUse(GuilderError):
    """One data directory serves one Guilder at a time."""

    code = "database_in_use"
    kind = Kind.UNAVAILABLE
    title = "Another Guilder uses this data directory"


class DatabaseNotStarted(GuilderError):
    """The bundled database starts. The detail says what is in its way and what to do about it."""

    code = "database_not_started"
    kind = Kind.UNAVAILABLE
    title = "The bundled database could not be started"
