"""The generated pages of `docs/reference/`: errors from classes, settings from fields."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import guilder
from guilder.kernel.errors import GuilderError
from guilder.middlewares.problems import STATUS
from guilder.settings import PREFIX, Settings

_GENERATED = "<!-- Printed by `guilder reference {page}`; a test compares them. -->"


def error_classes() -> dict[str, type[GuilderError]]:
    """Return every rule that can be broken, by code, in the order of codes."""
    for module in pkgutil.walk_packages(guilder.__path__, "guilder."):
        importlib.import_module(module.name)
    found = {
        rule.code: rule
        for rule in _below(GuilderError)
        # A class that keeps its parent's code is the same rule, seen from another place.
        if "code" in vars(rule) and rule.__module__.startswith("guilder.")
    }
    return dict(sorted(found.items()))


def errors_page() -> str:
    """Return `docs/reference/errors.md`."""
    rules = error_classes().values()
    lines = [
        "# Errors",
        "",
        _GENERATED.format(page="errors"),
        "",
        "Every error is `application/problem+json` (RFC 9457). Decide by `code`: it is stable,",
        "while `title` and `detail` are for people. `retryable` says that the same request, under",
        "the same idempotency key, may succeed later; `Retry-After` says when. `errors` points at",
        "fields. A few are about the deployment: the command says them, with an exit code instead.",
        "",
        "| code | status | retryable |",
        "|---|---|---|",
        *(
            f"| [`{rule.code}`](#{rule.code}) | {STATUS[rule.kind]} | "
            f"{'yes' if rule.retryable else 'no'} |"
            for rule in rules
        ),
        "",
        "Under each code: its title, and the rule that holds when the error does not occur.",
    ]
    for rule in rules:
        lines += ["", f"## {rule.code}", "", f"*{rule.title}.* {_one_line(rule)}"]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Return `docs/reference/settings.md`."""
    lines = [
        "# Settings",
        "",
        _GENERATED.format(page="settings"),
        "",
        "Each is an environment variable, or a file of that name in small letters in the directory",
        "that `GUILDER_SECRETS_DIRECTORY` names (`/run/secrets` if it exists). Options of the",
        "command win over both. `guilder doctor` looks for unsafe ones and for misspelt names.",
        "",
        "| variable | default | |",
        "|---|---|---|",
    ]
    # Those that come from elsewhere after its own.
    own = Settings.__annotations__
    fields = sorted(Settings.model_fields.items(), key=lambda item: item[0] not in own)
    for name, field in fields:
        cells = (f"`{PREFIX}{name.upper()}`", _default(field), _about(field))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _below(parent: type[GuilderError]) -> Iterator[type[GuilderError]]:
    for child in parent.__subclasses__():
        yield child
        yield from _below(child)


def _one_line(rule: type[GuilderError]) -> str:
    rule_text = inspect.cleandoc(rule.__doc__ or "").split("\n\n")[0]
    return " ".join(rule_text.split())


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "depends"
    if field.default is None or field.default is PydanticUndefined:
        return "none"
    if field.default == ():
        return "empty"
    text = str(field.default)
    return f"`{text.lower() if isinstance(field.default, bool) else text}`"


def _about(field: FieldInfo) -> str:
    limits = [
        f"{word} {getattr(rule, name)}"
        for rule in field.metadata
        for name, word in (("ge", "at least"), ("le", "at most"))
        if getattr(rule, name, None) is not None
    ]
    choices = _choices(field.annotation)
    parts = (
        field.description or "",
        f"One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else "",
        f"{' and '.join(limits).capitalize()}." if limits else "",
    )
    return " ".join(part for part in parts if part)


def _choices(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401 - whatever a field is declared as
    is_literal = str(get_origin(annotation)).endswith("Literal")
    return get_args(annotation) if is_literal else ()
