"""The settings that decide whether a database may keep money."""

from typing import Any, cast

import pytest
import structlog
from structlog.testing import capture_logs

from guilder.storage.errors import UnsafeDatabase
from guilder.storage.postgres import settings_check
from guilder.storage.postgres.settings_check import ServerFacts, check_settings

SAFE: dict[str, object] = {
    "version": 180006,
    "is_standby": False,
    "data_checksums": "on",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "data_sync_retry": "off",
}


class Connection:
    """Answers the one question that is asked."""

    def __init__(self, row: dict[str, object] | None) -> None:
        self._row = row

    async def fetchrow(self, query: str) -> dict[str, object] | None:
        return self._row


async def check_row(
    row: dict[str, object] | None, accepted: frozenset[str] = frozenset()
) -> ServerFacts:
    return await check_settings(cast("Any", Connection(row)), accepted)


async def test_safe_settings_pass() -> None:
    assert await check_row(SAFE) == ServerFacts(version=180006, has_data_checksums=True)


@pytest.mark.parametrize("value", ["on", "remote_apply", "remote_write"])
async def test_waiting_for_a_standby_is_safe_too(value: str) -> None:
    await check_row({**SAFE, "synchronous_commit": value})


async def test_the_oldest_version_is_14() -> None:
    await check_row({**SAFE, "version": 140000})
    with pytest.raises(UnsafeDatabase, match="PostgreSQL 14 or later"):
        await check_row({**SAFE, "version": 139999})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"is_standby": True}, r"standby.*primary"),
        ({"fsync": "off"}, r"fsync is off\. Set fsync = on"),
        ({"full_page_writes": "off"}, r"full_page_writes is off\. Set"),
        ({"synchronous_commit": "off"}, r"synchronous_commit is off\. Run ALTER ROLE"),
        ({"synchronous_commit": "local"}, r"synchronous_commit is local"),
        ({"data_sync_retry": "on"}, r"data_sync_retry is on"),
    ],
)
async def test_unsafe_ones_are_named_with_value_and_cure(
    changed: dict[str, object], said: str
) -> None:
    with pytest.raises(UnsafeDatabase, match=said):
        await check_row({**SAFE, **changed})


async def test_an_accepted_one_passes_and_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logs:
        # A logger that an earlier test has used keeps to what was configured then.
        monkeypatch.setattr(settings_check, "_log", structlog.get_logger())
        await check_row({**SAFE, "fsync": "off"}, frozenset({"fsync"}))
    assert [(log["event"], log["setting"], log["value"]) for log in logs] == [
        ("unsafe_setting_accepted", "fsync", "off")
    ]


async def test_a_standby_cannot_be_accepted() -> None:
    with pytest.raises(UnsafeDatabase):
        await check_row({**SAFE, "is_standby": True}, frozenset(SAFE))


async def test_missing_checksums_are_reported() -> None:
    facts = await check_row({**SAFE, "data_checksums": "off"})
    assert not facts.has_data_checksums


async def test_no_answer_is_refused() -> None:
    with pytest.raises(UnsafeDatabase):
        await check_row(None)
