"""A book with a bit of everything, and what the audit should say when it was tampered with."""

from datetime import timedelta
from typing import Any

from guilder.ledger.journal import Journal
from guilder.ledger.verify import Report
from guilder.storage.records import TransferKind
from tests.support.books import NOON, account, request, transfer_id
from tests.support.postgres_books import created

HOLD, CAPTURE, PARTIAL, RELEASE = list(TransferKind)[1:]
LAST = 12
"""Position of the last transfer of that book."""


async def write_a_book(journal: Journal) -> None:
    """Write 12 transfers of every kind, in two assets."""
    await journal.open_accounts(
        [
            *(account(name) for name in ("mint", "payer", "payee", "empty")),
            *(account(name, asset="EUR") for name in ("mint-eur", "euro")),
        ]
    )

    def hold(name: str, **fields: Any) -> Any:
        return request("payer", "payee", 20, id=transfer_id(name), kind=HOLD, **fields)

    def on(name: str, kind: TransferKind, amount: int) -> Any:
        return request("payer", "payee", amount, kind=kind, hold_id=transfer_id(name))

    group = {"group_id": transfer_id("group")}
    for batch in (
        [request("mint", "payer", 500), request("mint-eur", "euro", 70, asset="EUR")],
        [request("payer", "payee", 30, metadata={"k": "v"}, reference="r"), hold("one")],
        [on("one", PARTIAL, 5), on("one", CAPTURE, 10), hold("two"), on("two", RELEASE, 0)],
        [request("payer", "payee", 1, **group), request("payee", "payer", 1, **group)],
        [hold("open", expires_at=NOON + timedelta(days=9_999)), on("open", PARTIAL, 3)],
    ):
        created(await journal.post_all(batch))


def found(report: Report, position: int, words: str) -> None:
    """Check what the audit told, and that it told no more than it had read by then."""
    assert not report.ok
    assert report.difference is not None
    assert report.difference.position == position, report.difference
    assert words in report.difference.what
