"""The import contracts of pyproject.toml, tried on a stub of the tree: each can be broken."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")

STUB = (
    "app.py",
    "cli/__init__.py",
    "settings.py",
    "middlewares/__init__.py",
    "identity/__init__.py",
    "gateways/__init__.py",
    "wallets/__init__.py",
    "wallets/errors.py",
    "wallets/followers.py",
    "wallets/routes.py",
    "wallets/rules.py",
    "wallets/schemas.py",
    "wallets/service.py",
    "payments/__init__.py",
    "transfers/__init__.py",
    "ledger/__init__.py",
    "ledger/chain.py",
    "ledger/decide.py",
    "ledger/errors.py",
    "ledger/models.py",
    "storage/__init__.py",
    "kernel/__init__.py",
    "kernel/clock.py",
)


GOOD = {
    "wallets/routes.py": "from guilder.wallets import schemas, service, errors",
    "wallets/service.py": "from guilder.wallets import rules\nimport guilder.ledger, asyncio",
    "payments/__init__.py": "from guilder import wallets, gateways, middlewares",
    "ledger/errors.py": "from guilder.ledger import models",
    "settings.py": "from guilder import kernel",
    "app.py": "from guilder import settings, payments",
}

# File, import, contract that breaks.
FAULTS = [
    ("kernel/errors.py", "guilder.storage", "Calls go down"),
    ("wallets/schemas.py", "guilder.payments", "Calls go down"),
    ("transfers/service.py", "guilder.payments", "Calls go down"),
    ("payments/service.py", "guilder.settings", "Calls go down"),
    ("settings.py", "guilder.identity", "Settings and middlewares"),
    ("middlewares/limit.py", "guilder.storage", "Settings and middlewares"),
    ("wallets/service.py", "guilder.wallets.schemas", "Inside a feature"),
    ("wallets/rules.py", "guilder.wallets.service", "Inside a feature"),
    ("wallets/followers.py", "guilder.wallets.routes", "Inside a feature"),
    ("identity/rules.py", "asyncpg", "Decisions do no I/O"),
    ("ledger/models.py", "random", "Decisions do no I/O"),
    ("kernel/money.py", "time", "Decisions do no I/O"),
    ("ledger/decide.py", "guilder.kernel.clock", "Decisions are told the time"),
]


def lint(tree: Path, imports: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Lint an empty package of our shape, with these lines in it, by our contracts."""
    text = (ROOT / "pyproject.toml").read_text()
    contracts = text[text.index("[tool.importlinter]") :]
    assert tomllib.loads(contracts)["tool"].keys() == {"importlinter"}
    (tree / "pyproject.toml").write_text(contracts)
    for name in {"__init__.py", *STUB, *imports}:
        path = tree / "guilder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(imports.get(name, ""))
    return subprocess.run(
        [LINT, "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what is reported on a tree with every fault, by contract."""
    imports = {name: f"import {imported}" for name, imported, _ in FAULTS}
    result = lint(tmp_path_factory.mktemp("tree"), {**imports, "newcomer.py": ""})
    assert result.returncode == 1, result.stdout
    assert "0 kept, 5 broken" in result.stdout
    _, _, reports = result.stdout.partition("Broken contracts")
    titles = sorted({contract for _, _, contract in FAULTS}, key=reports.index)
    starts = [*(reports.index(title) for title in titles), len(reports)]
    return {
        title: reports[start:end]
        for title, start, end in zip(titles, starts, starts[1:], strict=False)
    }


def test_a_tree_without_faults_keeps_every_contract(tmp_path: Path) -> None:
    result = lint(tmp_path, GOOD)

    assert result.returncode == 0, result.stdout
    assert "5 kept, 0 broken" in result.stdout


@pytest.mark.parametrize(("name", "imported", "contract"), FAULTS)
def test_a_fault_breaks_its_contract(
    broken: dict[str, str], name: str, imported: str, contract: str
) -> None:
    importer = "guilder." + name.removesuffix(".py").replace("/", ".")

    assert f"{importer} -> {imported} (l.1)" in broken[contract]


def test_a_package_without_a_place_breaks_the_layers(broken: dict[str, str]) -> None:
    assert "not listed as layers" in broken["Calls go down"]
    assert "- guilder.newcomer" in broken["Calls go down"]
