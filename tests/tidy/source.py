"""The code base as the tidy rules see it: parsed modules and the text files beside them."""

import ast
import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_NOT_OURS = {"__pycache__", "dist", "mutants", "node_modules"}
_HIDDEN_BUT_OURS = {".ci", ".github"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True)
class Module:
    """A parsed Python file.

    Args:
        path: From the root of the repository, with `/`.
    """

    path: str
    text: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @functools.cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @functools.cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @functools.cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    @functools.cached_property
    def imported(self) -> dict[str, str]:
        """Every imported name with the full name of what it stands for."""
        names = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.split(".")[0]
                    names[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return names

    @property
    def is_source(self) -> bool:
        return self.path.startswith("src/")

    @property
    def package(self) -> str:
        """Return the path below `src/guilder/`, such as `kernel/money.py`; empty for tests."""
        return self.path.removeprefix("src/guilder/") if self.is_source else ""

    def full_name(self, node: ast.AST) -> str:
        """Return `datetime.datetime.now` for `now` of an imported `datetime`; empty if unnamed."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        parts.append(self.imported.get(node.id, node.id))
        return ".".join(reversed(parts))

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Return every call with the full name of what is called."""
        for node in self.nodes:
            if isinstance(node, ast.Call):
                yield node, self.full_name(node.func)

    def functions(self) -> Iterator[Function]:
        """Return every function and method."""
        for node in self.nodes:
            if isinstance(node, Function):
                yield node

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Return what `node` stands in, innermost first."""
        while node in self.parents:
            node = self.parents[node]
            yield node


@functools.cache
def modules() -> tuple[Module, ...]:
    """Return every Python file of the repository; each is parsed once."""
    return tuple(Module(path, text) for path, text in text_files().items() if path.endswith(".py"))


@functools.cache
def files() -> tuple[str, ...]:
    """Return the path of every file that is, or would be, committed."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        listed = subprocess.run(
            [git, "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        paths = listed.stdout.decode().split("\0")
        return tuple(path for path in paths if path and (ROOT / path).is_file())
    return tuple(_walked())


def _walked() -> Iterator[str]:
    for directory, below, names in os.walk(ROOT):
        below[:] = [
            name
            for name in below
            if name in _HIDDEN_BUT_OURS or not (name.startswith(".") or name in _NOT_OURS)
        ]
        for name in names:
            yield (Path(directory) / name).relative_to(ROOT).as_posix()


@functools.cache
def text_files() -> dict[str, str]:
    """Return every text file by its path."""
    texts = {}
    for path in files():
        raw = (ROOT / path).read_bytes()
        if b"\0" not in raw[:8192]:
            texts[path] = raw.decode(errors="replace")
    return texts
