"""The documents are true: their commands run, and the generated ones are as generated."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from guilder.cli.demo.server import TemporaryGuilder
from guilder.cli.reference import errors_page, settings_page

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```shell\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_MARK = "== end of block =="


def _run(blocks: list[str], *, base: str, directory: Path) -> list[str]:
    """Run blocks in one shell and return what each printed."""
    script = "".join(f"{block}\necho; echo '{_MARK}'\n" for block in blocks)
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=directory,
        env={"PATH": os.environ["PATH"], "BASE": base, "no_proxy": "*"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [printed.strip("\n") for printed in done.stdout.split(_MARK)[:-1]]


def test_the_start_page_does_what_it_says(guilder: TemporaryGuilder, tmp_path: Path) -> None:
    blocks = _BLOCK.findall((ROOT / "docs/start.md").read_text())
    printed = _run([block for block, _ in blocks], base=guilder.url, directory=tmp_path)
    for (block, expected), actual in zip(blocks, printed, strict=True):
        if expected:
            assert actual == expected.strip("\n"), block


_PRESS_PAY = """
CHECKOUT=$(tail -n 1 opened.txt)
FORM=$(curl -sS "$CHECKOUT" | sed -n 's/.*name="token" value="\\([^"]*\\)".*/\\1/p')
curl -sS -o page.html "$CHECKOUT" -d "token=$FORM" -d decision=pay
while [ "$(curl -sS -H "Authorization: Bearer $TOKEN" "$BASE/v1/wallet" | field balance)" = 0 ]; do
  sleep 0.1
done
"""


def test_the_tour_of_the_readme_works(guilder: TemporaryGuilder, tmp_path: Path) -> None:
    make, first, second = (text for text, _ in _BLOCK.findall((ROOT / "README.md").read_text()))
    assert re.findall(r"^make \w+", make, re.MULTILINE) == ["make run", "make test"]
    first = first.rstrip() + " > opened.txt\n"
    printed = _run([first, _PRESS_PAY, second], base=guilder.url, directory=tmp_path)
    assert printed[-1].splitlines()[-1] == "7500"


def test_every_link_of_the_documents_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.parametrize(
    ("name", "page"), [("errors.md", errors_page), ("settings.md", settings_page)]
)
def test_a_generated_page_is_as_generated(name: str, page: object) -> None:
    assert callable(page)
    written = (ROOT / "docs/reference" / name).read_text()
    assert written == page(), (
        f"guilder reference {name.removesuffix('.md')} > docs/reference/{name}"
    )


def test_every_decision_is_listed_and_complete() -> None:
    folder = ROOT / "docs/decisions"
    listed = (folder / "README.md").read_text()
    for record in folder.glob("0*.md"):
        text = record.read_text()
        headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives", "References"]
        assert f"({record.name})" in listed
