"""Rules for the code base as a whole: error codes, and the text of every file."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.tidy.source import Module

MAX_BYTES = 500_000

# In parts, so that this file does not break its own rules.
_MACHINE_PATH = re.compile(
    r"(?<![\w.~}/-])/(?:(?:work|farm|root)(?=[/\"'`\s]|$)|(?:home|Users)/\w)"
)
_NEVER = re.compile(r"\b" + "FIX" + r"ME\b")
_LATER = re.compile(r"\b" + "TO" + r"DO\b(?!\(issue \d+\))")


@dataclass(frozen=True)
class ErrorClass:
    """A subclass of `GuilderError` as it is written down."""

    name: str
    where: str
    code: str | None
    has_kind: bool
    bases: frozenset[str]
    has_docstring: bool
    is_root: bool


def error_classes(modules: Sequence[Module]) -> list[ErrorClass]:
    """Return `GuilderError` and everything below it, over all modules of `src`."""
    classes = [
        (module, node)
        for module in modules
        if module.is_source
        for node in module.nodes
        if isinstance(node, ast.ClassDef)
    ]
    known = {"GuilderError"}
    while True:
        below = {node.name for _, node in classes if known & set(map(_base, node.bases))}
        if below <= known:
            break
        known |= below
    return [_error_class(module, node) for module, node in classes if node.name in known]


def _base(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _error_class(module: Module, node: ast.ClassDef) -> ErrorClass:
    given = {}
    for statement in node.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                given[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                given[name] = value
            case _:
                pass
    code = given.get("code")
    return ErrorClass(
        name=node.name,
        where=f"{module.path}:{node.lineno}",
        code=code.value if isinstance(code, ast.Constant) and isinstance(code.value, str) else None,
        has_kind="kind" in given,
        bases=frozenset(map(_base, node.bases)),
        has_docstring=bool(ast.get_docstring(node)),
        is_root=node.name == "GuilderError",
    )


def codes_are_unique(errors: Sequence[ErrorClass]) -> Iterator[str]:
    """A client branches on the code: two rules under one code cannot be told apart."""
    seen: dict[str, ErrorClass] = {}
    for error in errors:
        if error.code is None or error.is_root:
            continue
        if not re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code):
            yield f"{error.where}: code `{error.code}` is snake_case letters"
        if error.code in seen:
            yield f"{error.where}: `{error.code}` is the code of {seen[error.code].name} already"
        seen[error.code] = error


def errors_are_documented(errors: Sequence[ErrorClass]) -> Iterator[str]:
    """The docstring of an error is its rule, and the reference page is made of it."""
    with_kind = {error.name for error in errors if error.has_kind and not error.is_root}
    for error in errors:
        if not error.has_docstring:
            yield f"{error.where}: {error.name} states its rule in a docstring"
        if error.code is not None and not (error.has_kind or error.bases & with_kind):
            yield f"{error.where}: {error.name} has a code of its own, so also a kind"


def errors_are_tested(errors: Sequence[ErrorClass], tests: Mapping[str, str]) -> Iterator[str]:
    """A refusal that no test has seen is a refusal that may never happen."""
    everything = "\n".join(tests.values())
    for error in errors:
        names = [error.name, *([f'"{error.code}"'] if error.code else [])]
        if not error.is_root and not any(name in everything for name in names):
            yield f"{error.where}: no test names {' or '.join(names)}"


def nothing_is_put_off(texts: Mapping[str, str]) -> Iterator[str]:
    """What is wrong is mended; what is for later has an issue, or nobody will ever know of it."""
    for where, line in _lines(texts):
        if _NEVER.search(line):
            yield f"{where}: mend it"
        if _LATER.search(line):
            yield f"{where}: name the issue, as in (issue 12)"


def no_machine_is_named(texts: Mapping[str, str]) -> Iterator[str]:
    """A path of one machine works on that machine."""
    for where, line in _lines(texts):
        if _MACHINE_PATH.search(line):
            yield f"{where}: a path below the repository, or a setting: {line.strip()[:80]}"


def files_are_small(sizes: Mapping[str, int]) -> Iterator[str]:
    """A large file in the history is cloned by everyone for ever."""
    for path, size in sizes.items():
        if size > MAX_BYTES:
            yield f"{path}: {size} bytes; {MAX_BYTES} at most"


def _lines(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for path, text in texts.items():
        for number, line in enumerate(text.splitlines(), start=1):
            yield f"{path}:{number}", line
