"""Development's mailbox over HTTP: what would have been sent, for whoever sits at this machine."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from guilder.notifications.mailbox import LIFE, Mailbox
from guilder.notifications.models import MODELS, Channel, MailboxLetter
from guilder.storage.base import Storage
from tests.support.asgi import answer, scope_of
from tests.support.databases import Database
from tests.support.http import Running, running, settings_for
from tests.support.identity import HandClock, quick_vault
from tests.support.mail_server import mail_server
from tests.support.messages import FROM, SAMPLES, letter
from tests.support.shared_guilder import Start
from tests.support.sms_company import ACCOUNT, TOKEN, sms_company

SECRETS = ("Yb1xQv7Zk3Lm9Rt5Wc2Nd8Hs4Jf6Gp0UaEoIi", "Pq8Wz5Xn2Vb7Mc4Lk9Jh1Gf6Ds3Aq0RtYuOe")


async def put(guilder: Running, to: str, template: str, **values: str) -> None:
    channel = Channel.SMS if to.startswith("+") else Channel.EMAIL
    given = {**SAMPLES[template], **values}
    await guilder.app.state.outbox.put(
        None, channel=channel, to=to, template=template, values=given, user_id=None
    )


async def mailbox(guilder: Running, to: str, count: int = 1) -> list[dict[str, Any]]:
    """Wait for the letters to somebody."""
    async with asyncio.timeout(60):
        while True:
            response = await guilder.client.get("/mailbox.json", params={"to": to})
            data = response.raise_for_status().json()["data"]
            if len(data) >= count:
                assert response.headers["cache-control"] == "no-store"
                return list(data)
            await asyncio.sleep(0.02)


async def test_what_would_have_been_sent_is_shown(guilder: Running) -> None:
    await put(guilder, "shown@example.com", "sign_in_code", code="24681357")
    (first,) = await mailbox(guilder, "shown@example.com")
    assert first["values"]["code"] == "24681357"
    assert (first["channel"], first["template"], first["link"]) == ("email", "sign_in_code", None)
    await put(guilder, "shown@example.com", "password_reset")
    newer, older = await mailbox(guilder, "shown@example.com", 2)
    assert older == first
    assert newer["link"] == SAMPLES["password_reset"]["link"]
    await put(guilder, "+12025550177", "verify_phone", code="11223344")
    (sms,) = await mailbox(guilder, "+12025550177")
    assert sms["text"] == "Guilder: 11223344 confirms your phone number. Give it to nobody."


async def test_the_page_shows_it_too_and_loads_nothing(guilder: Running) -> None:
    await put(guilder, "page@example.com", "new_device", device='<script>alert("x")</script>')
    await mailbox(guilder, "page@example.com")
    page = await guilder.client.get("/mailbox")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "page@example.com" in page.text
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example.com"},
        {"Host": "10.0.0.1:8000"},
        {"Host": "["},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
    ],
)
@pytest.mark.parametrize("path", ["/mailbox", "/mailbox.json"])
async def test_it_is_for_this_machine_only(
    guilder: Running, path: str, headers: dict[str, str]
) -> None:
    response = await guilder.client.get(path, headers=headers)
    assert response.status_code in {400, 404}
    assert "@" not in response.text


@pytest.mark.parametrize("client", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", ""])
async def test_nobody_else_of_the_network_sees_it(guilder: Running, client: str) -> None:
    scope = scope_of("/mailbox.json", client=client, headers={"host": "127.0.0.1"})
    found = await answer(guilder.app, {**scope, "app": guilder.app})
    assert (found.status, found.body["code"]) == (404, "not_found")


async def test_production_has_none(start: Start) -> None:
    production = {
        "environment": "production",
        "signing_key": SECRETS[0],
        "pepper": SECRETS[1],
        "public_url": "https://pay.example.com",
        "bcrypt_cost": 10,
    }
    async with start(**production) as other:
        for path in ("/mailbox", "/mailbox.json"):
            response = await other.client.get(path)
            assert (response.status_code, response.json()["code"]) == (404, "not_found")
        assert other.app.state.mailbox is None


async def test_what_is_set_up_is_sent_and_not_shown(database: Database, tmp_path: Path) -> None:
    """On a database of its own: whichever Guilder takes a message first sends it in its way."""
    async with mail_server() as server, sms_company() as company:
        ways = {
            "smtp_host": "127.0.0.1",
            "smtp_port": server.port,
            "smtp_security": "none",
            "mail_from": FROM,
            "sms_account_sid": ACCOUNT,
            "sms_auth_token": TOKEN,
            "sms_from": "+12025550100",
            "sms_api_url": f"http://127.0.0.1:{company.port}",
            "database_url": database.url,
            "database_owner_url": database.owner_url,
        }
        async with running(**settings_for(tmp_path, **ways)) as other:
            await put(other, "sent@example.com", "sign_in_code")
            await put(other, "+12025550199", "sign_in_code")
            async with asyncio.timeout(60):
                while not (server.taken and company.asked):  # noqa: ASYNC110 - in other tasks
                    await asyncio.sleep(0.02)
            shown = (await other.client.get("/mailbox.json")).json()["data"]
    assert server.taken[0].receivers == ["sent@example.com"]
    assert b"To=%2B12025550199" in company.asked[0].body
    assert not {"sent@example.com", "+12025550199"} & {each["to"] for each in shown}


async def test_it_is_kept_sealed_and_for_an_hour(storage: Storage) -> None:
    await storage.migrate(MODELS)
    clock = HandClock()
    box = Mailbox(storage, vault=quick_vault(), clock=clock)
    for _ in range(2):
        await box.slot(Channel.EMAIL).send(letter())
    clock.move(minutes=1)
    await box.slot(Channel.SMS).send(letter(id="another", to="+12025550123"))
    assert [each.to for each in await box.letters()] == ["+12025550123", "payer@example.com"]
    (stored, _) = await storage.documents(MailboxLetter).page({}, limit=9)
    assert "payer" not in repr(stored)
    clock.move(seconds=LIFE.total_seconds() - 60 + 1)
    assert [each.to for each in await box.letters()] == ["+12025550123"]
    assert await box.sweep() is False
    assert len(await storage.documents(MailboxLetter).page({}, limit=9)) == 1


async def test_letters_of_other_secrets_are_passed_over(storage: Storage) -> None:
    await storage.migrate(MODELS)
    box = Mailbox(storage, vault=quick_vault(), clock=HandClock())
    now = HandClock().now - timedelta(minutes=1)
    await storage.documents(MailboxLetter).insert(
        MailboxLetter(id="letter_x", created_at=now, updated_at=now, content="v1.a.b.c")
    )
    assert await box.letters() == []
