"""How lines are written to standard error: JSON objects for machines, or columns for people."""

import logging
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, Final, TextIO, cast

import msgspec
import structlog
from structlog.typing import Processor

from guilder.kernel.clock import utc_now
from guilder.middlewares.redaction import redact

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_NEVER_STARTED: Final = ("Traceback", "Application startup failed")
_encode = msgspec.json.Encoder().encode


class _StandardError:
    """Standard error as it is when a line is written: loggers outlive a stream that is replaced."""

    def write(self, text: str) -> int:
        """Write a line."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Let it out."""
        sys.stderr.flush()


def configure_logging(*, level: str, as_json: bool) -> None:
    """Send everything that is logged, by us or by a library, through the same redaction.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        as_json: One JSON object per line, else columns.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(serializer=_to_text)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_StandardError())
    handler.addFilter(_says_something_new)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries talk about themselves at `info`; the outgoing requests they list have ids in them.
    root.setLevel(max(_LEVELS[level], logging.WARNING))


def _says_something_new(record: logging.LogRecord) -> bool:
    """Drop uvicorn's report of a failed start: whoever started us gets the exception itself."""
    message = record.getMessage()
    return record.name != "uvicorn.error" or not message.startswith(_NEVER_STARTED)


def _to_text(event: dict[str, Any], **_: Any) -> str:  # noqa: ANN401 - structlog's signature
    """Write an event as one line of JSON."""
    return _encode(event).decode()


def access_writer(stream: BinaryIO | None = None) -> Callable[[dict[str, Any]], None]:
    """Return a function that writes the line of one request, as JSON, in microseconds.

    The fields of such a line are all ours (see `AccessLogMiddleware`): nothing needs redaction.
    """
    target = stream or sys.stderr.buffer
    write, flush = target.write, target.flush

    def write_line(line: dict[str, Any]) -> None:
        event = {"event": "request", "level": "info", "timestamp": utc_now(), **line}
        write(_encode(event) + b"\n")
        flush()

    return write_line
