"""A real mail server in the test process, which does as it is told; and certificates for it."""

import asyncio
import contextlib
import email
import email.policy
import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
DIE = "die"
HANG = "hang"
LOGIN = ("sender", "a password of the mail server")


@dataclass
class Taken:
    """A mail that the server has taken."""

    sender: str
    receivers: list[str]
    raw: bytes

    @property
    def mail(self) -> EmailMessage:
        found = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found

    def part(self, kind: str) -> str:
        body = self.mail.get_body((kind,))
        assert isinstance(body, EmailMessage)
        return str(body.get_content())


@dataclass
class MailServer:
    """What the server has seen, and what it will answer.

    `to_rcpt` and `to_data` are taken from the front: a line to answer, `DIE` or `HANG`. Without
    any it takes what comes.
    """

    port: int = 0
    to_rcpt: list[str] = field(default_factory=list)
    to_data: list[str] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    logins: int = 0

    async def handle_RCPT(  # noqa: N802 - as aiosmtpd calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await _play(server, self.to_rcpt)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802 - as aiosmtpd calls it
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        will_take = not self.to_data or self.to_data[0] in {DIE, HANG}
        if will_take:
            assert isinstance(envelope.content, bytes)
            self.taken.append(
                Taken(envelope.mail_from or "", list(envelope.rcpt_tos), envelope.content)
            )
        return await _play(server, self.to_data)

    def sign_in(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any
    ) -> AuthResult:
        self.logins += 1
        is_right = (given.login.decode(), given.password.decode()) == LOGIN
        return AuthResult(success=is_right, handled=False)


async def _play(server: SMTP, script: list[str]) -> str:
    answer = script.pop(0) if script else "250 OK"
    if answer == DIE:
        _cut(server)
    if answer in {DIE, HANG}:
        await asyncio.Event().wait()
    return answer


def _cut(server: SMTP) -> None:
    """Break the connection off, whatever is still to be written."""
    if isinstance(server.transport, asyncio.Transport):
        server.transport.abort()


@dataclass(frozen=True)
class Certificate:
    """A certificate that vouches for itself."""

    file: Path
    key: Path

    @property
    def context(self) -> ssl.SSLContext:
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        found.load_cert_chain(self.file, self.key)
        return found


def certificate(folder: Path, *, host: str = HOST, days: int = 1) -> Certificate:
    """Make a certificate of a host, valid for so many days from yesterday on."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    begins = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - timedelta(days=2))
        .not_valid_after(begins + timedelta(days=days, hours=12))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    found = Certificate(folder / f"{host}.{days}.pem", folder / f"{host}.{days}.key")
    found.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    found.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return found


@contextlib.asynccontextmanager
async def mail_server(
    *,
    implicit: Certificate | None = None,
    starttls: Certificate | None = None,
    asks_login: bool = False,
    knows_utf8: bool = True,
) -> AsyncIterator[MailServer]:
    """Run a mail server on loopback.

    Args:
        implicit: With TLS from the first byte.
        starttls: With TLS by STARTTLS, which it insists on.
    """
    told = MailServer()
    loop = asyncio.get_running_loop()
    connections: list[SMTP] = []

    def smtp() -> SMTP:
        return SMTP(
            told,
            enable_SMTPUTF8=knows_utf8,
            tls_context=starttls.context if starttls else None,
            require_starttls=starttls is not None,
            auth_required=asks_login,
            auth_require_tls=False,
            authenticator=told.sign_in,
            hostname="mail.test",
            timeout=60,
            loop=loop,
        )

    def made() -> SMTP:
        with warnings.catch_warnings():
            # It says that a password in clear is bad. It is loopback, and a test.
            warnings.simplefilter("ignore", UserWarning)
            connection = smtp()
        connections.append(connection)
        return connection

    server = await loop.create_server(made, HOST, 0, ssl=implicit.context if implicit else None)
    told.port = server.sockets[0].getsockname()[1]
    try:
        yield told
    finally:
        server.close()
        for connection in connections:
            task = getattr(connection, "_handler_coroutine", None)
            _cut(connection)
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await server.wait_closed()
