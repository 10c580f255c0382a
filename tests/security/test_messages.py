"""Messages: nothing of strangers gets into headers, logs or dumps, and nobody pays for floods."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from guilder.notifications.mime import Sent
from guilder.notifications.models import MODELS, Channel, MessageState
from guilder.notifications.outbox import Outbox
from guilder.notifications.rules import mail_address
from guilder.notifications.sending import Fate, Outcome, Sender
from guilder.notifications.sms import SmsSender
from guilder.notifications.smtp import SmtpSecurity, SmtpSender
from guilder.storage import open_storage
from guilder.storage.base import Storage
from tests.support.databases import Database
from tests.support.dumps import disguises, dump
from tests.support.identity import HandClock, quick_vault
from tests.support.mail_server import DIE, LOGIN, certificate, mail_server
from tests.support.messages import FROM, Post, ToldSender, letter, post, sms_limits, smtp_config
from tests.support.sms_company import TOKEN, refused, sms_company

INJECTIONS = [
    "x\r\nBcc: victim@example.com",
    "x\nBcc: victim@example.com",
    "x\rBcc: victim@example.com",
    "x\r\n\r\nA body of my own",
    "x\r\n.\r\nMAIL FROM:<a@example.com>",
    "x%0d%0aBcc: victim@example.com",
    "x\u2028Bcc: victim@example.com",
    "x\u2029Bcc: victim@example.com",
    "x\x85Bcc: victim@example.com",
    "x\x0bBcc: victim@example.com",
    "x\x0cBcc: victim@example.com",
    "x\x1c\x1d\x1eBcc: victim@example.com",
    "x\x00\r\nBcc: victim@example.com",
    "=?utf-8?q?x=0d=0aBcc:_victim@example.com?=",
    "=?utf-8?b?eA0KQmNjOiB2aWN0aW1AZXhhbXBsZS5jb20=?=",
    ">\r\nRCPT TO:<victim@example.com>",
    "\u560d\u560aBcc: victim@example.com",
    "x\r\n Bcc: victim@example.com",
]
HEADERS = [
    "Auto-Submitted",
    "Content-Type",
    "Date",
    "From",
    "MIME-Version",
    "Message-ID",
    "Reply-To",
    "Subject",
    "To",
]


async def test_asvs_1_3_11_no_mail_header_or_smtp_injection() -> None:
    async with mail_server() as server:
        sent = Sent("Guilder", FROM, reply_to=FROM)
        sender = SmtpSender(smtp_config(server.port, sent=sent))
        for text in INJECTIONS:
            values = dict.fromkeys(("device", "place", "at", "factor", "name", "code"), text)
            for template in ("new_device", "sign_in_code"):
                given = letter(template=template, values=values)
                assert (await sender.send(given)).fate is Fate.SENT
            # Not even a subject of several lines, which no template makes, gets through.
            with pytest.raises(ValueError, match="linefeed"):
                await sender.send(letter(subject="x\r\nBcc: victim@example.com"))
            for to in (f"a@example.com{text}", f"{text}@example.com", text):
                assert await sender.send(letter(to=to)) == Outcome(Fate.REFUSED, "address_invalid")
    assert len(server.taken) == 2 * len(INJECTIONS)
    for taken in server.taken:
        assert taken.receivers == ["payer@example.com"]
        assert sorted(taken.mail.keys()) == HEADERS
        assert sum(part.get_content_type() == "text/plain" for part in taken.mail.walk()) == 1


def test_asvs_1_3_11_addresses_with_more_than_an_address_are_none() -> None:
    for text in INJECTIONS:
        for to in (f"a@example.com{text}", f"{text}@example.com", f"a@{text}", f"<{text}>"):
            assert mail_address(to) is None, to


@pytest.mark.parametrize("fault", ["name", "issuer"])
async def test_asvs_12_3_2_mail_goes_only_over_verified_tls(tmp_path: Path, fault: str) -> None:
    wrong = certificate(tmp_path, host="mail.example.com")
    other = certificate(tmp_path, days=2)
    shown = wrong if fault == "name" else other
    trusted = wrong if fault == "name" else certificate(tmp_path)
    async with mail_server(starttls=shown, asks_login=True) as server:
        config = smtp_config(
            server.port,
            security=SmtpSecurity.STARTTLS,
            ca_file=trusted.file,
            username=LOGIN[0],
            password=LOGIN[1],
        )
        outcome = await SmtpSender(config).send(letter())
    assert (outcome.reason, server.logins, server.taken) == ("tls_failed", 0, [])


@pytest.fixture
async def office(storage: Storage) -> Post:
    return await post(storage)


async def test_asvs_16_2_5_no_secret_and_no_receiver_in_logs(
    office: Post, capfd: pytest.CaptureFixture[str]
) -> None:
    number = "+12025550123"
    secrets = ["payer@example.com", "2025550123", "97531864", "token-of-a-link", LOGIN[1], TOKEN]
    async with mail_server() as server, sms_company() as company:
        server.to_rcpt = [
            "550 No such user payer@example.com, code 97531864",
            "451 payer@example.com is busy",
        ]
        server.to_data = [DIE]
        company.answers = [refused(21211), (500, b"+12025550123 97531864"), (429, b"97531864")]
        mail: Sender = SmtpSender(smtp_config(server.port))
        sms: Sender = SmsSender(company.config())
        for _ in range(4):
            await office.put(values={"code": "97531864"})
            await office.put(
                "password_reset", values={"link": "https://pay.example.com/#token-of-a-link"}
            )
            await office.put(channel=Channel.SMS, to=number, values={"code": "97531864"})
        broken = ToldSender([], on_send=_break)
        for _ in range(4):
            await office.worker(broken).work_due()
            office.clock.move(minutes=3)
            await office.worker(mail).work_due()
            await office.worker(sms, Channel.SMS).work_due()
        await mail.aclose()
        await sms.aclose()
    written = "".join(capfd.readouterr())
    for word in ("message_sent", "message_failed", "message_waiting", "message_not_sent"):
        assert word in written, "the log tells what happens"
    for secret in secrets:
        assert secret not in written


async def _break(given: Any) -> None:
    raise RuntimeError(given.to, given.text)


async def test_asvs_6_6_1_sms_go_only_to_telephones_of_our_countries(office: Post) -> None:
    async with sms_company() as company:
        sender = SmsSender(company.config(countries=frozenset({"US"})))
        numbers = ["+4915123456789", "+19002345678", "+18002345678", "12025550123", "+1202555"]
        for to in (*numbers, "+12025550123"):
            await office.put(channel=Channel.SMS, to=to)
        while await office.worker(sender, Channel.SMS).work_due():
            pass
        await sender.aclose()
    assert len(company.asked) == 1
    reasons = sorted(str(message.failure) for message in await office.messages())
    assert reasons == [
        "None",
        "country_not_allowed",
        "number_invalid",
        "number_invalid",
        "number_not_allowed",
        "number_not_allowed",
    ]


async def test_t34_floods_of_codes_are_not_paid_for(office: Post) -> None:
    """Scaled: 240 requests within ten minutes, for 80 numbers of four blocks."""
    sender = ToldSender(brakes_with=sms_limits)
    workers = [office.worker(sender, Channel.SMS) for _ in range(3)]
    for turn in range(3):
        for number in range(80):
            await office.put(
                channel=Channel.SMS,
                to=f"+1202{555 + number // 20}01{number % 20:02}",
                expires_at=office.clock.now + timedelta(minutes=10),
            )
        while any(await asyncio.gather(*(worker.work_due() for worker in workers))):
            pass
        office.clock.move(minutes=3)
        assert len(sender.letters) <= 40, turn
    states = {message.state for message in await office.messages()}
    assert states == {MessageState.SENT, MessageState.FAILED}


async def test_t30_a_dump_names_no_receiver_and_no_code(
    new_database: Database,
) -> None:
    receivers = [f"seeded-{number}-receiver@example.com" for number in range(25)]
    receivers += [f"+1202{555 + number}0123" for number in range(25)]
    codes = [f"7531{number:04}" for number in range(50)]
    storage = await open_storage(new_database.url, owner_url=new_database.owner_url)
    try:
        await storage.migrate(MODELS)
        clock = HandClock()
        office = Post(storage, clock, Outbox(storage, vault=quick_vault(), clock=clock))
        for to, code in zip(receivers, codes, strict=True):
            channel = Channel.SMS if to.startswith("+") else Channel.EMAIL
            await office.put(channel=channel, to=to, values={"code": code}, key=f"{to} {code}")
        before = await dump(new_database)
        sender = ToldSender(brakes_with=sms_limits)
        await office.worker(sender, Channel.SMS).work_due()
        after = await dump(new_database)
    finally:
        await storage.close()
    assert len(sender.letters) == 10
    for found in (before, after):
        assert "sign_in_code" in found
        for secret in (*receivers, *codes):
            assert not [each for each in disguises(secret) if each in found]
