"""How the command ends."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the command's exit says. Stable: scripts may rely on it."""

    DONE = 0
    """It did what was asked, and what it checked is right."""
    WRONG = 1
    """It did what was asked, and what it checked is not right."""
    USAGE = 2
    """The command line or the settings are not valid."""
    UNAVAILABLE = 3
    """Something it needs is not there: a database, a port, a server."""
