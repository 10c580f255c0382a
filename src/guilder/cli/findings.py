"""How `guilder doctor` shows what it found."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from guilder.doctor import Finding


def show(found: Sequence[Finding], console: Console) -> None:
    """Print each finding with its cure, or that there is none."""
    for finding in found:
        colour = "bold red" if finding.is_error else "yellow"
        console.print(
            f"[{colour}]{finding.severity}[/] {escape(finding.setting)}: {escape(finding.problem)}",
            soft_wrap=True,
        )
        console.print(f"  {escape(finding.cure)}", soft_wrap=True)
    if not found:
        console.print("[green]Nothing unsafe was found.[/]")
