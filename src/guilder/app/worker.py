"""One of several workers: `supervisor.py` starts this program, orders it about and hears from it.

Whatever ends the supervisor, its worker ends too: at once while it waits for orders, after what is
in flight when it serves.
"""

import os
import pickle
import shutil
import socket
import sys
import threading
import time
from typing import BinaryIO

import msgspec
import structlog

from guilder.app.serve import serve_app
from guilder.app.supervisor import GRACE_S, Orders, Report
from guilder.kernel.errors import GuilderError
from guilder.web.logs import configure_logging
from guilder.web.neighbours import Neighbours
from guilder.web.server import Server

_STDIN, _STDOUT, _STDERR = 0, 1, 2


def main() -> int:
    """Work as ordered until a signal, or the end of the supervisor, says to stop.

    Returns:
        The exit code: 0 after serving, 1 if it could not.
    """
    reports = _own_output()
    try:
        orders: Orders = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own supervisor's
    except EOFError:
        return 0
    settings = orders.settings
    configure_logging(level=settings.log_level, as_json=settings.log_format == "json")
    structlog.contextvars.bind_contextvars(worker=orders.number)
    try:
        serve_app(
            settings,
            socket.socket(fileno=orders.listener),
            on_ready=lambda: _report(reports, Report()),
            on_server=lambda server: _end_with_supervisor(server, orders),
            neighbours=Neighbours(orders.number, orders.directory),
        )
    except Exception as error:
        failure = error.detail if isinstance(error, GuilderError) else repr(error)
        _report(reports, Report(failure))
        if not isinstance(error, GuilderError):
            raise
        return 1
    return 0


def _own_output() -> BinaryIO:
    """Keep standard output for reports; what else is printed goes to standard error."""
    reports = os.fdopen(os.dup(_STDOUT), "wb")
    os.dup2(_STDERR, _STDOUT)
    return reports


def _report(reports: BinaryIO, report: Report) -> None:
    reports.write(msgspec.json.encode(report) + b"\n")
    reports.flush()


def _end_with_supervisor(server: Server, orders: Orders) -> None:
    """Stop the server when the supervisor is gone, and the process if that takes too long.

    A thread of its own does it: it also ends a process whose event loop hangs.
    """

    def wait() -> None:
        # Nothing more is ever written: reading returns at the end of the pipe.
        os.read(_STDIN, 1)
        server.should_exit = True
        # Nobody else is left to tidy up.
        shutil.rmtree(orders.directory, ignore_errors=True)
        time.sleep(orders.settings.shutdown_timeout_s + GRACE_S)
        os._exit(1)

    threading.Thread(target=wait, name="supervisor-watch", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
