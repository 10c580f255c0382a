"""Runs Guilder until a signal says to stop."""

import asyncio
import gc
import socket
import sys
from collections.abc import Callable

import structlog

from guilder.app.create import create_app
from guilder.app.supervisor import supervise
from guilder.doctor import Finding, doctor
from guilder.kernel.errors import GuilderError, Kind
from guilder.server_secrets import load_secrets
from guilder.settings import Settings
from guilder.web.logs import configure_logging
from guilder.web.neighbours import Neighbours
from guilder.web.server import Server, listen, make_server, run

_log = structlog.get_logger("guilder.serve")


class UnsafeSettings(GuilderError):
    """Production runs on safe settings only."""

    code = "unsafe_settings"
    kind = Kind.INTERNAL
    title = "The settings are not safe for production"

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        lines = [f"{each.setting}: {each.problem} {each.cure}" for each in findings]
        super().__init__("\n".join(lines))


def _say(line: str) -> None:
    """Write a line for the person who started us."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def serve(settings: Settings, *, announce: Callable[[str], None] = _say) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is in flight, and drain the journal.

    Args:
        settings: With port 0 a free one is taken. With several `workers` this process runs the
            bundled database and watches over the processes that answer.
        announce: Takes the one line that says where Guilder is, once it is ready.

    Raises:
        UnsafeSettings: In production, what `guilder doctor` calls an error.
        OSError: The address cannot be listened on.
        GuilderError: It could not start; the detail says why.
    """
    configure_logging(level=settings.log_level, as_json=settings.log_format == "json")
    _refuse_or_warn(settings)
    with listen(settings.host, settings.port) as listener:
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})

        def ready() -> None:
            announce(_ready_line(settings))

        if settings.workers == 1:
            serve_app(settings, listener, on_ready=ready)
            return
        load_secrets(settings)
        asyncio.run(supervise(settings, listener, on_ready=ready))


def serve_app(
    settings: Settings,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None],
    on_server: Callable[[Server], None] = lambda _: None,
    neighbours: Neighbours | None = None,
) -> None:
    """Serve in this process until a signal says to stop.

    Args:
        on_server: Takes the server before it runs, to stop it by other means.
        neighbours: This is one of several workers.

    Raises:
        GuilderError: It could not start; the detail says why.
    """

    def ready(_: int) -> None:
        # What start-up made, half a million objects, stays until the end: collections skip it.
        gc.freeze()
        on_ready()

    app = create_app(settings, neighbours=neighbours)
    server = make_server(
        app,
        header_bytes_max=settings.header_limit_bytes,
        request_timeout_s=settings.request_timeout_s,
        connections_max=settings.connections_max,
        shutdown_timeout_s=settings.shutdown_timeout_s,
        on_ready=ready,
    )
    on_server(server)
    run(server, listener)
    failure = getattr(app.state, "failure", None)
    if failure is not None:
        raise failure


def _refuse_or_warn(settings: Settings) -> None:
    """Look at the settings once more, with what the doctor knows."""
    findings = doctor(settings)
    if settings.environment == "production":
        errors = [finding for finding in findings if finding.is_error]
        if errors:
            raise UnsafeSettings(errors)
    for finding in findings:
        _log.warning("unsafe setting", name=finding.setting, why=finding.problem, cure=finding.cure)


def _ready_line(settings: Settings) -> str:
    """Say where everything is."""
    parts = [f"Guilder is ready at {settings.base_url}"]
    if settings.docs_enabled:
        parts.append(f"docs at {settings.base_url}/docs")
    where = "your own database" if settings.database_url else str(settings.data_directory)
    parts.append(f"data in {where}")
    if settings.workers > 1:
        parts.append(f"{settings.workers} workers")
    return " - ".join(parts)
