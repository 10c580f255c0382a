"""Runs Guilder until a signal says to stop."""

import gc
import sys
from collections.abc import Callable

import structlog

from guilder.app.create import create_app
from guilder.doctor import Finding, doctor
from guilder.kernel.errors import GuilderError, Kind
from guilder.settings import Settings
from guilder.web.logs import configure_logging
from guilder.web.server import listen, make_server, run

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
        settings: With port 0 a free one is taken.
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
        app = create_app(settings)
        server = make_server(
            app,
            header_bytes_max=settings.header_limit_bytes,
            request_timeout_s=settings.request_timeout_s,
            connections_max=settings.connections_max,
            shutdown_timeout_s=settings.shutdown_timeout_s,
            on_ready=lambda _: _ready(settings, announce),
        )
        run(server, listener)
    failure = getattr(app.state, "failure", None)
    if failure is not None:
        raise failure


def _ready(settings: Settings, announce: Callable[[str], None]) -> None:
    # What start-up made, half a million objects, stays until the end: collections skip it.
    gc.freeze()
    announce(_ready_line(settings))


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
    return " - ".join(parts)
