"""Mail to a real mail server: what it takes, refuses, puts off, and what happens when it breaks."""

import asyncio
from pathlib import Path

import pytest

from guilder.kernel.errors import InvariantViolation
from guilder.notifications.mime import Sent
from guilder.notifications.sending import Fate, Outcome
from guilder.notifications.smtp import SmtpSecurity, SmtpSender
from tests.support.mail_server import DIE, HANG, LOGIN, certificate, mail_server
from tests.support.messages import FROM, letter, smtp_config


async def test_a_mail_has_a_text_a_page_and_the_headers_of_a_machine() -> None:
    async with mail_server() as server:
        sent = Sent("Guilder", FROM, reply_to="help@pay.example.com")
        assert await SmtpSender(smtp_config(server.port, sent=sent)).send(letter()) == Outcome(
            Fate.SENT
        )
    (taken,) = server.taken
    assert (taken.sender, taken.receivers) == (FROM, ["payer@example.com"])
    mail = taken.mail
    assert mail["From"] == f"Guilder <{FROM}>"
    assert mail["To"] == "payer@example.com"
    assert mail["Reply-To"] == "help@pay.example.com"
    assert mail["Message-ID"] == "<message_01h455vb4pex5vsknk084sn02q@pay.example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"] == "Sat, 31 Jan 2026 12:00:00 +0000"
    assert mail.get_content_type() == "multipart/alternative"
    assert "12345678" in taken.part("plain")
    assert '<p class="code">12345678</p>' in taken.part("html")
    assert "Bcc" not in mail


@pytest.mark.parametrize("kind", ["starttls", "implicit"])
async def test_it_signs_in_over_tls(tmp_path: Path, kind: str) -> None:
    made = certificate(tmp_path)
    async with mail_server(**{kind: made}, asks_login=True) as server:  # type: ignore[arg-type]
        config = smtp_config(
            server.port,
            security=SmtpSecurity.STARTTLS if kind == "starttls" else SmtpSecurity.TLS,
            ca_file=made.file,
            username=LOGIN[0],
            password=LOGIN[1],
        )
        outcome = await SmtpSender(config).send(letter())
    assert outcome == Outcome(Fate.SENT)
    assert (len(server.taken), server.logins) == (1, 1)
    assert LOGIN[1] not in repr(config)


async def test_a_wrong_password_is_no_reason_to_lose_mail(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    async with mail_server(implicit=made, asks_login=True) as server:
        config = smtp_config(
            server.port,
            security=SmtpSecurity.TLS,
            ca_file=made.file,
            username=LOGIN[0],
            password="not this one",
        )
        outcome = await SmtpSender(config).send(letter())
    assert (outcome.fate, outcome.reason) == (Fate.POSTPONED, "smtp_535")
    assert server.taken == []


@pytest.mark.parametrize("fault", ["name", "issuer", "expired"])
@pytest.mark.parametrize("kind", ["starttls", "implicit"])
async def test_a_wrong_certificate_gets_no_mail(tmp_path: Path, kind: str, fault: str) -> None:
    right = certificate(tmp_path)
    given = {
        "name": lambda: certificate(tmp_path, host="mail.example.com"),
        "issuer": lambda: certificate(tmp_path, days=2),
        "expired": lambda: certificate(tmp_path, days=0),
    }[fault]()
    trusted = right if fault == "issuer" else given
    async with mail_server(**{kind: given}, asks_login=True) as server:  # type: ignore[arg-type]
        config = smtp_config(
            server.port,
            security=SmtpSecurity.STARTTLS if kind == "starttls" else SmtpSecurity.TLS,
            ca_file=trusted.file,
            username=LOGIN[0],
            password=LOGIN[1],
        )
        outcome = await SmtpSender(config).send(letter())
    assert (outcome.fate, outcome.reason) == (Fate.POSTPONED, "tls_failed")
    assert (server.taken, server.logins) == ([], 0)


async def test_a_server_that_offers_no_tls_any_more_gets_no_mail() -> None:
    async with mail_server() as server:
        config = smtp_config(server.port, security=SmtpSecurity.STARTTLS)
        outcome = await SmtpSender(config).send(letter())
    assert outcome.fate is Fate.POSTPONED
    assert server.taken == []


def test_mail_in_clear_goes_to_this_machine_only() -> None:
    with pytest.raises(InvariantViolation):
        smtp_config(25, host="mail.example.com")


@pytest.mark.parametrize(
    ("to_rcpt", "to_data", "fate", "reason"),
    [
        (["550 No such user payer@example.com"], [], Fate.REFUSED, "smtp_550"),
        (["450 Busy"], [], Fate.POSTPONED, "smtp_450"),
        ([], ["554 Spam"], Fate.REFUSED, "smtp_554"),
        ([], ["452 Disk full"], Fate.POSTPONED, "smtp_452"),
        (["530 Sign in first"], [], Fate.POSTPONED, "smtp_530"),
        ([DIE], [], Fate.POSTPONED, "unreachable"),
        ([], [DIE], Fate.UNCLEAR, "connection_lost"),
    ],
)
async def test_each_answer_has_its_meaning(
    to_rcpt: list[str], to_data: list[str], fate: Fate, reason: str
) -> None:
    async with mail_server() as server:
        server.to_rcpt, server.to_data = list(to_rcpt), list(to_data)
        outcome = await SmtpSender(smtp_config(server.port)).send(letter())
    assert (outcome.fate, outcome.reason) == (fate, reason)
    assert "payer" not in repr(outcome)


async def test_later_it_may_be_taken() -> None:
    async with mail_server() as server:
        server.to_rcpt = ["451 Try again"]
        sender = SmtpSender(smtp_config(server.port))
        fates = [(await sender.send(letter())).fate for _ in range(2)]
    assert fates == [Fate.POSTPONED, Fate.SENT]
    assert len(server.taken) == 1


@pytest.mark.parametrize(("step", "fate"), [("to_rcpt", Fate.POSTPONED), ("to_data", Fate.UNCLEAR)])
@pytest.mark.parametrize("limit", ["timeout_s", "total_timeout_s"])
async def test_a_server_that_hangs_is_left(step: str, fate: Fate, limit: str) -> None:
    async with mail_server() as server:
        setattr(server, step, [HANG])
        sender = SmtpSender(smtp_config(server.port, **{limit: 1}))
        async with asyncio.timeout(20):
            outcome = await sender.send(letter())
    assert (outcome.fate, outcome.is_their_fault) == (fate, True)


async def test_nobody_listening_is_unreachable() -> None:
    async with mail_server() as server:
        port = server.port
    outcome = await SmtpSender(smtp_config(port)).send(letter())
    assert (outcome.fate, outcome.reason) == (Fate.POSTPONED, "unreachable")


async def test_addresses_of_the_whole_world() -> None:
    async with mail_server() as server, mail_server(knows_utf8=False) as old:
        for to in ("payer@bücher.example", "zahlerin-ä@example.com"):
            assert await SmtpSender(smtp_config(server.port)).send(letter(to=to)) == Outcome(
                Fate.SENT
            )
        outcome = await SmtpSender(smtp_config(old.port)).send(letter(to="ä@example.com"))
    assert [taken.receivers for taken in server.taken] == [
        ["payer@xn--bcher-kva.example"],
        ["zahlerin-ä@example.com"],
    ]
    assert (outcome.fate, outcome.reason) == (Fate.REFUSED, "address_not_supported")
    assert old.taken == []
