"""Schema changes: numbered SQL files, forward only, each in a transaction of its own."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from guilder.kernel.errors import check
from guilder.storage.postgres.document_table import SCHEMA, DocumentTable

if TYPE_CHECKING:
    from guilder.storage.postgres.engine import RawConnection

# Any number that no other program is likely to lock; the same for every Guilder.
_LOCK = 0x6775696C646572
_FILE = re.compile(r"(?P<number>[0-9]{4})_[a-z0-9_]+\.sql")

_PREPARE = """
CREATE SCHEMA IF NOT EXISTS guilder;
CREATE TABLE IF NOT EXISTS guilder.schema_migrations (
    number integer PRIMARY KEY,
    title text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
# Waiting for another migrating process is fine, waiting behind a long query is not: it would
# hold up everybody who comes after.
_BEGIN = "SET LOCAL lock_timeout = '120s'"
_CAREFUL = "SET LOCAL lock_timeout = '5s'"

_GRANTS = """
DO $$
DECLARE place record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA guilder, {documents} TO %1$I', '{role}');
    EXECUTE format('GRANT SELECT ON guilder.schema_migrations TO %1$I', '{role}');
    EXECUTE format(
        'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {documents} TO %1$I', '{role}'
    );
    FOR place IN SELECT nspname AS book FROM pg_namespace WHERE nspname ~ '^book_[a-z0-9_]+$' LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %1$I TO %2$I', place.book, '{role}');
        EXECUTE format('GRANT SELECT, INSERT ON %1$I.transfers TO %2$I', place.book, '{role}');
        EXECUTE format(
            'GRANT SELECT, INSERT ON %1$I.accounts TO %2$I', place.book, '{role}'
        );
        EXECUTE format(
            'GRANT SELECT, INSERT, UPDATE '
            'ON %1$I.head, %1$I.balances, %1$I.holds, %1$I.counters TO %2$I',
            place.book, '{role}'
        );
    END LOOP;
END $$
"""
_REVOKE = 'REVOKE UPDATE, DELETE ON {documents}.{table} FROM "{role}"'
_ROLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,62}")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    title: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the statements, in hexadecimal digits."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def packaged_migrations() -> list[Migration]:
    """Return the migrations that this version brings, in order."""
    folder = resources.files("guilder.storage.postgres") / "migrations"
    found = []
    for file in folder.iterdir():
        match = _FILE.fullmatch(file.name)
        if match is not None:
            title = file.name.removesuffix(".sql")
            found.append(Migration(int(match["number"]), title, file.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.number)


async def migrate(
    connection: "RawConnection",
    tables: Iterable[DocumentTable],
    *,
    application_role: str,
    migrations: Sequence[Migration] | None = None,
) -> list[str]:
    """Bring the schema up to date and return what was done.

    Several processes may start at once: they take turns.

    Args:
        connection: The owner's.
        tables: Document tables that must exist with their indexes.
        application_role: Gets the rights to serve, and no more.
        migrations: In order; those of this version if None.
    """
    wanted = packaged_migrations() if migrations is None else migrations
    done = [migration.title for migration in wanted if await _apply(connection, migration)]
    made = list(tables)
    done += await _make_documents(connection, made)
    await _grant(connection, application_role, made)
    return done


async def _take_turn(connection: "RawConnection") -> None:
    """Wait until no other process migrates; the lock lasts until the transaction ends."""
    await connection.execute(_BEGIN)
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    await connection.execute(_CAREFUL)
    await connection.execute(_PREPARE)


async def _apply(connection: "RawConnection", migration: Migration) -> bool:
    """Run one migration unless it has run; tell whether it was run now."""
    async with connection.transaction():
        await _take_turn(connection)
        checksum = await connection.fetchval(
            "SELECT checksum FROM guilder.schema_migrations WHERE number = $1", migration.number
        )
        if checksum is not None:
            check(
                checksum == migration.checksum,
                f"migration {migration.title} was changed after it had run here",
            )
            return False
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO guilder.schema_migrations (number, title, checksum) VALUES ($1, $2, $3)",
            migration.number,
            migration.title,
            migration.checksum,
        )
    return True


async def _make_documents(
    connection: "RawConnection", tables: Sequence[DocumentTable]
) -> list[str]:
    """Make the tables and indexes that are missing."""
    done: list[str] = []
    async with connection.transaction():
        await _take_turn(connection)
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        rows = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace", SCHEMA
        )
        existing = {row["relname"] for row in rows}
        for table in tables:
            wanted = {table.name: table.create_table, **table.create_indexes()}
            for name, statement in wanted.items():
                if name not in existing:
                    await connection.execute(statement)
                    done.append(f"{SCHEMA}.{name}")
    return done


async def _grant(connection: "RawConnection", role: str, tables: Sequence[DocumentTable]) -> None:
    """Give the application's role its rights. The owner has its own already."""
    if role == await connection.fetchval("SELECT current_user"):
        return
    check(_ROLE.fullmatch(role), f"{role!r} is no role name that Guilder grants to")
    async with connection.transaction():
        await _take_turn(connection)
        await connection.execute(_GRANTS.format(role=role, documents=SCHEMA))
        for table in tables:
            if table.model.append_only:
                revoke = _REVOKE.format(role=role, documents=SCHEMA, table=table.name)
                await connection.execute(revoke)
