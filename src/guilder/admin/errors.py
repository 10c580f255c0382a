"""The rules of running a deployment that a request can break."""

from guilder.kernel.errors import GuilderError, Kind


class OwnRole(GuilderError):
    """Nobody sets their own role: it takes somebody else to make an operator, or to unmake one."""

    code = "own_role"
    kind = Kind.FORBIDDEN
    title = "Nobody sets their own role"
