"""The record of a running Guilder: sealed by itself, seen in `/readyz` and `/metrics`."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from guilder.audit.models import AuditEvent, AuditHead, AuditSeal
from guilder.audit.verify import verify
from guilder.storage.errors import DuplicateDocument
from tests.support.audit import everything
from tests.support.databases import Database
from tests.support.http import Running, running, settings_for

PATIENCE_S = 60


@pytest.fixture
async def guilder(new_database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    settings = settings_for(
        tmp_path, database_url=new_database.url, database_owner_url=new_database.owner_url
    )
    async with running(**settings) as started:
        yield started


async def figures(guilder: Running) -> dict[str, float]:
    """Return what `/metrics` says of the record."""
    text = (await guilder.client.get("/metrics")).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("guilder_audit")]
    return {name: float(value) for name, value in lines}


async def test_a_refused_sign_in_is_recorded_sealed_and_counted(guilder: Running) -> None:
    body = {"email": "nobody@example.com", "password": "four unlikely words together"}
    answer = await guilder.client.post("/v1/login", json=body)
    assert answer.status_code == 401
    storage = guilder.app.state.storage
    (event,) = await everything(storage, AuditEvent)
    assert (event.action, event.subject) == ("sign_in.refused", "unknown")
    async with asyncio.timeout(PATIENCE_S):
        while not await everything(storage, AuditSeal):  # noqa: ASYNC110 - the sealer's own pace
            await asyncio.sleep(0.02)
        while (await figures(guilder))["guilder_audit_position"] < 1:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    assert await figures(guilder) == {
        "guilder_audit_position": 1.0,
        "guilder_audit_waiting": 0.0,
        "guilder_audit_oldest_waiting_seconds": 0.0,
        "guilder_audit_stuck": 0.0,
    }
    ready = (await guilder.client.get("/readyz")).json()
    assert ready["checks"]["audit"] == {"ok": True, "detail": "sealed up to 1, 0 waiting"}
    report = await verify(storage)
    assert (report.ok, report.position) == (True, 1)


async def test_a_sealer_that_is_stuck_is_told_and_stops_nobody(guilder: Running) -> None:
    """Somebody took the head away. Payments go on; the operator sees it."""
    state = guilder.app.state
    await state.audit_sealer.stop()
    for _ in range(2):
        await state.audit.record("session.opened", actor="system", subject="system")
    await state.audit_sealer.step()
    (head,) = await everything(state.storage, AuditHead)
    await state.storage.documents(AuditHead).delete(head.id)
    await state.audit.record("session.opened", actor="system", subject="system")
    with pytest.raises(DuplicateDocument):
        await state.audit_sealer.step()
    clock = state.clock
    # Time passes for the sealer only.
    state.audit_sealer._clock = lambda: clock() + timedelta(minutes=2)
    ready = await guilder.client.get("/readyz")
    told = ready.json()["checks"]["audit"]
    assert (ready.status_code, told["ok"]) == (200, True)
    assert told["detail"].startswith("STUCK: sealed up to 0, 1 waiting for ")
    assert (await figures(guilder))["guilder_audit_stuck"] == 1.0
