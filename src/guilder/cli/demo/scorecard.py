"""What the story expected, beside what came."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from guilder.cli.demo.answers import Transaction
from guilder.kernel.currency import currency
from guilder.kernel.money import Money


def written(amount_minor: int) -> str:
    """Write an amount of the story, which is in US dollars, for people.

    >>> written(1250)
    '12.50 USD'
    """
    return str(Money(amount_minor, currency("USD")))


class Scorecard:
    """Collects checks and prints each as it is made.

    Attributes:
        passed: How many held.
        failed: How many did not; the story is right only if it is zero.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.passed = 0
        self.failed = 0

    def tell(self, sentence: str) -> None:
        """Say what happens next."""
        self.console.print(f"[bold]{escape(sentence)}[/]")

    def expect(self, label: str, *, expected: object, actual: object) -> None:
        """Compare, count and print one figure."""
        if expected == actual:
            self.passed += 1
            self.console.print(f"  [green]ok[/]  {escape(f'{label}: {actual}')}")
            return
        self.failed += 1
        self.console.print(
            f"  [bold red]OFF[/] {escape(f'{label}: expected {expected}, but got {actual}')}"
        )

    def expect_minor(self, label: str, *, expected: int, actual: int) -> None:
        """Compare two amounts in minor units."""
        self.expect(label, expected=written(expected), actual=written(actual))


def print_statement(console: Console, who: str, lines: Sequence[Transaction]) -> None:
    """Print a wallet's history, oldest first, with the balance after each line."""
    table = Table(title=f"Statement of {who}", title_justify="left")
    table.add_column("time (UTC)")
    table.add_column("what")
    table.add_column("amount", justify="right")
    table.add_column("balance", justify="right")
    for line in lines:
        table.add_row(
            line.timestamp[11:19],
            escape(_what(line)),
            written(line.signed),
            written(line.balance_after.posted) if line.balance_after else "",
        )
    console.print(table)


def _what(line: Transaction) -> str:
    other = line.counterparty.name if line.counterparty else None
    direction = "from" if line.type == "credit" else "to"
    parts = (
        line.category or line.type,
        f"{direction} {other}" if other else "",
        f"({line.description})" if line.description else "",
    )
    return " ".join(part for part in parts if part)
