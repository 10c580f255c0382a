"""Where the bundled server takes connections, for whoever runs it and for who joins it."""

import json
from typing import Any

from guilder.storage.embedded_files import Layout

DATABASE = "guilder"
_PORT_LINE = 3
"""Of `postmaster.pid`, from 0."""


def connect_arguments(
    *, port: int, role: str, password: str, database: str = DATABASE
) -> dict[str, Any]:
    """Return what `asyncpg.connect` needs to come into the bundled server as `role`."""
    return {
        "host": "127.0.0.1",
        "port": port,
        "user": role,
        "password": password,
        "database": database,
        "ssl": False,
    }


def joined_address(layout: Layout, role: str) -> dict[str, Any]:
    """Return where the server that another process runs takes connections at this moment.

    Read anew for every connection: a server that is started again may have another port. A
    stranger who has that port by now learns nothing: SCRAM shows nobody the password.

    Raises:
        OSError: The server is not there, or has not said yet where it is.
    """
    lines = (layout.data / "postmaster.pid").read_text().split("\n")
    if len(lines) <= _PORT_LINE or not lines[_PORT_LINE].isdigit():
        raise OSError("the bundled server is starting")
    password = str(json.loads(layout.secrets.read_text())[role])
    return connect_arguments(port=int(lines[_PORT_LINE]), role=role, password=password)
