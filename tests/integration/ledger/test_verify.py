"""The audit finds every tampering, at the place where it is.

Planted by SQL of the schema's owner with the triggers off: every column of a transfer changed; a
transfer deleted (first, middle, last), inserted, appended, swapped with its neighbour; the tail cut
off with and without moving the head; the head's position and hash changed; every balance, sequence
and asset of an account changed; money moved between balances; an account deleted, and one invented
that holds money; every column of a hold changed, a hold brought back, deleted, invented.

What a faulty writer would plant is in `tests/unit/ledger/test_verify_faults.py`.

Not found, and why: `owner`, `code`, `no_overdraft` and the flags of an account, as the journal does
not say them; parts of a millisecond, as the chain does not cover them; a rewritten tail whose
balances and head were rewritten too, which only a hash kept elsewhere can tell.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from guilder.ledger import verify as verify_module
from guilder.ledger.verify import Report, verify
from guilder.storage import open_storage
from guilder.storage.base import LedgerStorage
from guilder.storage.records import Leg, Transfer
from tests.support.audits import LAST, found, write_a_book
from tests.support.books import account_id, transfer_id
from tests.support.databases import DatabaseServer
from tests.support.postgres_books import journal_on

TABLES = ("head", "accounts", "balances", "transfers", "holds", "counters")

Tamper = Callable[[str], Awaitable[Report]]


@pytest.fixture(scope="module")
async def written(postgresql: DatabaseServer) -> AsyncIterator[tuple[LedgerStorage, Any]]:
    """A book, and its owner's connection; `saved` has a copy of every table."""
    async with postgresql.database() as database:
        storage = await open_storage(database.url)
        async with journal_on(storage.ledger()) as journal:
            await write_a_book(journal)
        owner = await asyncpg.connect(database.owner_url)
        await owner.execute("CREATE SCHEMA saved")
        for table in TABLES:
            await owner.execute(f"CREATE TABLE saved.{table} AS TABLE book_main.{table}")
        await owner.execute("ALTER TABLE book_main.transfers DISABLE TRIGGER USER")
        yield storage.ledger(), owner
        await owner.close()
        await storage.close()


@pytest.fixture
async def tamper(written: tuple[LedgerStorage, Any]) -> AsyncIterator[Tamper]:
    """Run SQL and audit; the book is put back in the end."""
    book, owner = written

    async def run(sql: str) -> Report:
        assert (await verify(book)).ok
        await owner.execute(sql)
        return await verify(book)

    yield run
    for table in TABLES:
        await owner.execute(
            f"DELETE FROM book_main.{table}; "
            f"INSERT INTO book_main.{table} SELECT * FROM saved.{table}"
        )


async def test_a_right_book_is_told_in_figures(written: tuple[LedgerStorage, Any]) -> None:
    book, _ = written
    report = await verify(book)
    head = await book.head()
    assert report == Report(
        position=LAST,
        hash=head.hash,
        accounts=6,
        transfers=LAST,
        holds_open=1,
        totals={"EUR": 70, "USD": 500},
        difference=None,
    )


async def test_pages_do_not_matter(
    written: tuple[LedgerStorage, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await verify(written[0])
    for size in (1, 5, LAST):
        monkeypatch.setattr(verify_module, "PAGE", size)
        assert await verify(written[0]) == whole


COLUMNS = {
    "id": "gen_random_uuid()",
    "kind": "CASE kind WHEN 1 THEN 2 ELSE 1 END",
    "debit_account_id": f"'{account_id('empty')}'",
    "credit_account_id": f"'{account_id('empty')}'",
    "amount_minor": "amount_minor + 1",
    "asset": "'GBP'",
    "code": "code || ' '",
    "group_id": f"'{transfer_id('another')}'",
    "hold_id": f"'{transfer_id('another')}'",
    "reverses_id": f"'{transfer_id('another')}'",
    "counted": f'\'[{{"counter_id": "{transfer_id("another")}", "added": 1}}]\'',
    "expires_at": "'2030-01-01Z'",
    "effective_at": "effective_at - interval '1 millisecond'",
    "created_at": "created_at + interval '1 millisecond'",
    "reference": "reference || 'x'",
    "metadata": 'metadata || \'{"x": "y"}\'',
    "fingerprint": "sha256(fingerprint)",
    **{
        f"{side}_{part}": f"{side}_{part} + 1"
        for side in ("debit", "credit")
        for part in ("sequence", "posted", "pending_in", "pending_out")
    },
    "hash": "sha256(hash)",
}


@pytest.mark.parametrize("position", [1, 5, LAST])
@pytest.mark.parametrize("column", COLUMNS)
async def test_a_changed_transfer(tamper: Tamper, column: str, position: int) -> None:
    report = await tamper(
        f"UPDATE book_main.transfers SET {column} = {COLUMNS[column]} WHERE position = {position}"
    )
    found(report, position, "hash")


def test_every_column_is_changed_above() -> None:
    legs = {f"{side}_{part}" for side in ("debit", "credit") for part in Leg.__struct_fields__}
    fields = set(Transfer.__struct_fields__) - {"debit", "credit", "position"}
    assert set(COLUMNS) == fields | legs


@pytest.mark.parametrize("position", [1, 6, LAST])
async def test_a_deleted_transfer(tamper: Tamper, position: int) -> None:
    report = await tamper(f"DELETE FROM book_main.transfers WHERE position = {position}")
    found(report, position, "head" if position == LAST else "has position")


async def test_a_deleted_transfer_with_the_rest_moved_up(tamper: Tamper) -> None:
    report = await tamper(
        "DELETE FROM book_main.transfers WHERE position = 4;"
        "UPDATE book_main.transfers SET position = position + 999 WHERE position > 4;"
        "UPDATE book_main.transfers SET position = position - 1000 WHERE position > 1000;"
    )
    found(report, 4, "hash")


@pytest.mark.parametrize(("first", "last"), [(1, LAST), (10, LAST), (LAST, LAST)])
async def test_a_tail_cut_off(tamper: Tamper, first: int, last: int) -> None:
    report = await tamper(f"DELETE FROM book_main.transfers WHERE position >= {first}")
    found(report, first, "head")


async def test_a_tail_cut_off_with_its_head(tamper: Tamper) -> None:
    report = await tamper(
        "DELETE FROM book_main.transfers WHERE position > 9;"
        "UPDATE book_main.head SET position = 9,"
        "hash = (SELECT hash FROM book_main.transfers WHERE position = 9)"
    )
    found(report, 9, "is stored at")


@pytest.mark.parametrize("place", [0, 7])
async def test_an_inserted_transfer(tamper: Tamper, place: int) -> None:
    names = [*COLUMNS]
    values = ", ".join("gen_random_uuid()" if name == "id" else name for name in names)
    report = await tamper(
        f"UPDATE book_main.transfers SET position = position + 1000 WHERE position > {place};"
        f"UPDATE book_main.transfers SET position = position - 999 WHERE position > 1000;"
        f"INSERT INTO book_main.transfers (position, {', '.join(names)}) "
        f"SELECT {place + 1}, {values} FROM book_main.transfers WHERE position = 2 + {place};"
    )
    found(report, place + 1, "hash")


async def test_an_appended_transfer(tamper: Tamper) -> None:
    names = [*COLUMNS]
    values = ", ".join("gen_random_uuid()" if name == "id" else name for name in names)
    report = await tamper(
        f"INSERT INTO book_main.transfers (position, {', '.join(names)}) "
        f"SELECT 13, {values} FROM book_main.transfers WHERE position = 3"
    )
    found(report, 13, "hash")


async def test_two_transfers_in_the_other_order(tamper: Tamper) -> None:
    report = await tamper(
        "UPDATE book_main.transfers SET position = 1000 WHERE position = 6;"
        "UPDATE book_main.transfers SET position = 6 WHERE position = 7;"
        "UPDATE book_main.transfers SET position = 7 WHERE position = 1000;"
    )
    found(report, 6, "hash")


@pytest.mark.parametrize(
    ("change", "position", "word"),
    [
        ("position = 11", 12, "head is at 11"),
        ("position = 13", 13, "head is at 13"),
        ("hash = sha256(hash)", 12, "another hash"),
    ],
)
async def test_a_changed_head(tamper: Tamper, change: str, position: int, word: str) -> None:
    found(await tamper(f"UPDATE book_main.head SET {change}"), position, word)


@pytest.mark.parametrize("name", ["payer", "mint", "empty"])
@pytest.mark.parametrize("column", ["posted", "pending_in", "pending_out", "sequence"])
async def test_a_changed_balance(tamper: Tamper, name: str, column: str) -> None:
    report = await tamper(
        # A new account is worth nothing: what it reserves must be covered for the database.
        f"UPDATE book_main.balances SET {column} = {column} + 1, no_overdraft = false "
        f"WHERE account_id = '{account_id(name)}'"
    )
    found(report, LAST, f"account {account_id(name)} is stored at")


async def test_money_moved_between_balances(tamper: Tamper) -> None:
    """The sum is right, and every check of the database holds."""
    change = "UPDATE book_main.balances SET posted = posted {} 5 WHERE account_id = '{}';"
    report = await tamper(
        change.format("-", account_id("payer")) + change.format("+", account_id("payee"))
    )
    found(report, LAST, "is stored at")


async def test_another_asset(tamper: Tamper) -> None:
    report = await tamper(
        f"UPDATE book_main.accounts SET asset = 'GBP' WHERE id = '{account_id('payee')}'"
    )
    found(report, LAST, "is kept in GBP, the journal has USD")


@pytest.mark.parametrize("table", ["accounts", "balances"])
async def test_a_deleted_account(tamper: Tamper, table: str) -> None:
    key = "id" if table == "accounts" else "account_id"
    report = await tamper(f"DELETE FROM book_main.{table} WHERE {key} = '{account_id('payee')}'")
    found(report, LAST, f"account {account_id('payee')} is gone")


async def test_an_invented_account_with_money(tamper: Tamper) -> None:
    stranger = account_id("stranger")
    report = await tamper(
        f"INSERT INTO book_main.accounts VALUES ('{stranger}', 'USD', 'wallet', 'me', now());"
        f"INSERT INTO book_main.balances VALUES ('{stranger}', 7, 0, 0, 1, true, false, false)"
    )
    found(report, LAST, f"account {stranger} is stored at")


@pytest.mark.parametrize(
    "change",
    [
        "remaining_minor = remaining_minor - 1",
        "amount_minor = amount_minor + 1",
        "asset = 'GBP'",
        f"debit_account_id = '{account_id('empty')}'",
        f"credit_account_id = '{account_id('empty')}'",
        "expires_at = NULL",
        "id = gen_random_uuid()",
    ],
)
async def test_a_changed_hold(tamper: Tamper, change: str) -> None:
    report = await tamper(f"UPDATE book_main.holds SET {change} WHERE remaining_minor > 0")
    found(report, LAST, "hold ")


async def test_a_settled_hold_brought_back(tamper: Tamper) -> None:
    report = await tamper(
        f"UPDATE book_main.holds SET remaining_minor = 5 WHERE id = '{transfer_id('one')}'"
    )
    found(report, LAST, f"hold {transfer_id('one')}")


@pytest.mark.parametrize("name", ["one", "open"])
async def test_a_deleted_hold(tamper: Tamper, name: str) -> None:
    report = await tamper(f"DELETE FROM book_main.holds WHERE id = '{transfer_id(name)}'")
    found(report, LAST, f"hold {transfer_id(name)}")


async def test_an_invented_hold(tamper: Tamper) -> None:
    report = await tamper(
        "INSERT INTO book_main.holds SELECT gen_random_uuid(), debit_account_id, "
        "credit_account_id, asset, 1, 1, NULL FROM book_main.holds LIMIT 1"
    )
    found(report, LAST, "the journal has None")
