"""Runs an app on uvicorn with the limits of `protocol`; stopping finishes what was begun."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from guilder.web.protocol import limited_protocol

BACKLOG = 2_048
KEEP_ALIVE_S = 65
"""Longer than the 60 s of usual load balancers, which would else reuse a closing connection."""


class Server(uvicorn.Server):
    """uvicorn, which says when it listens.

    Args:
        on_ready: Called once with the port, when connections are taken.
    """

    def __init__(self, config: uvicorn.Config, *, on_ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready(self.port)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal, and then end like a program that did what it was asked to."""
        with super().capture_signals():
            yield
            # uvicorn would raise the signal again, which reads as a crash to whoever sent it.
            self._captured_signals.clear()

    @property
    def port(self) -> int:
        """The port that is listened on; 0 while it is not."""
        for server in self.servers:
            for listener in server.sockets:
                return int(listener.getsockname()[1])
        return 0


def make_server(
    app: ASGIApp,
    *,
    header_bytes_max: int,
    request_timeout_s: float,
    connections_max: int,
    shutdown_timeout_s: int,
    on_ready: Callable[[int], None] = lambda _: None,
) -> Server:
    """Return a server that is ready to run.

    Args:
        header_bytes_max: Of a request line and its headers.
        request_timeout_s: Within which a whole request has arrived.
        connections_max: Beyond these the answer is 503.
        shutdown_timeout_s: For requests in flight when stopping.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=limited_protocol(
            header_bytes_max=header_bytes_max, request_timeout_s=request_timeout_s
        ),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=connections_max,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=shutdown_timeout_s,
    )
    return Server(config, on_ready=on_ready)


def run(server: Server, listener: socket.socket) -> bool:
    """Serve on a bound socket until a signal says to stop; tell whether it ever started."""
    # uvicorn ends the process when the app does not start. Whoever runs it knows better why.
    with (
        contextlib.suppress(SystemExit),
        asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner,
    ):
        runner.run(server.serve(sockets=[listener]))
    return server.started


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket. Port 0 takes a free one.

    Raises:
        OSError: The address is taken, or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(False)
    return listener
