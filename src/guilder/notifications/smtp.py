"""The way out of e-mail: one conversation with a mail server for each mail, over verified TLS."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectResponseError,
    SMTPException,
    SMTPHeloError,
    SMTPResponseException,
    SMTPSenderRefused,
)

from guilder.kernel.errors import check
from guilder.notifications.mime import Sent, mail_of
from guilder.notifications.rules import Address, Limit, address_limits, mail_address
from guilder.notifications.sending import Fate, Letter, Outcome

_CODES: Final = range(200, 600)
_PERMANENT: Final = range(500, 600)
"""RFC 5321, 4.2.1: the same command would be refused again."""
_AUTHENTICATION: Final = frozenset({530, 534, 535, 538})
"""RFC 4954, 6: about our login, whichever command they answer."""
_TROUBLE: Final = frozenset({421, 451, 452, 454})
"""RFC 5321, 4.2.3: the server's own, not the receiver's."""
_ABOUT_US: Final = (
    SMTPAuthenticationError,
    SMTPConnectResponseError,
    SMTPHeloError,
    SMTPSenderRefused,
)
_FAREWELL_S: Final = 2


class SmtpSecurity(StrEnum):
    """How the connection to the mail server is encrypted."""

    STARTTLS = "starttls"
    """Upgraded before anything is said; usual on port 587."""
    TLS = "tls"
    """From the first byte; usual on port 465."""
    NONE = "none"
    """Not at all: to this machine only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpConfig:
    """Where mail goes.

    Args:
        ca_file: Certificates that the server's must come from; None: those of the system.
        timeout_s: For each step.
        total_timeout_s: For the whole conversation.

    Raises:
        InvariantViolation: It would go unencrypted to another machine.
    """

    host: str
    port: int
    security: SmtpSecurity
    sent: Sent
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    timeout_s: float = 10
    total_timeout_s: float = 30

    def __post_init__(self) -> None:
        """Refuse to speak in clear to anybody else."""
        is_safe = self.security is not SmtpSecurity.NONE or is_this_machine(self.host)
        check(is_safe, "mail in clear goes to this machine only")


def is_this_machine(host: str) -> bool:
    """Tell whether a host is a loopback address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class SmtpSender:
    """Sends mails. Makes a connection for each: few are sent, and none is held up by another."""

    def __init__(self, config: SmtpConfig) -> None:
        self._config = config
        self._context = (
            None
            if config.security is SmtpSecurity.NONE
            else ssl.create_default_context(cafile=config.ca_file)
        )

    def refusal(self, to: str) -> str | None:
        """Return why nothing is ever sent to this receiver, or None."""
        return "address_invalid" if mail_address(to) is None else None

    def limits(self, to: str) -> tuple[Limit, ...]:
        """Return the brakes of a receiver that is not refused."""
        return address_limits(to)

    async def send(self, letter: Letter) -> Outcome:
        """Hand a mail to the server; say what became of it. Takes at most `total_timeout_s`."""
        to = mail_address(letter.to)
        if to is None:
            return Outcome(Fate.REFUSED, "address_invalid")
        client, progress = self._client(), _Progress()
        try:
            async with asyncio.timeout(self._config.total_timeout_s):
                return await self._conversation(client, letter, to=to, progress=progress)
        except SMTPResponseException as error:
            return _answered(error)
        except (SMTPException, OSError) as error:
            if progress.is_going_out:
                return Outcome(Fate.UNCLEAR, "connection_lost", is_their_fault=True)
            is_tls = isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError)
            reason = "tls_failed" if is_tls else "unreachable"
            return Outcome(Fate.POSTPONED, reason, is_their_fault=True)
        finally:
            client.close()

    async def aclose(self) -> None:
        """Have nothing to give back."""

    def _client(self) -> SMTP:
        config = self._config
        return SMTP(
            hostname=config.host,
            port=config.port,
            timeout=config.timeout_s,
            use_tls=config.security is SmtpSecurity.TLS,
            # Never "if the server offers it": whoever stands between would not.
            start_tls=config.security is SmtpSecurity.STARTTLS,
            tls_context=self._context,
            local_hostname=config.sent.domain,
        )

    async def _conversation(
        self, client: SMTP, letter: Letter, *, to: Address, progress: "_Progress"
    ) -> Outcome:
        config = self._config
        await client.connect()
        if config.username is not None:
            await client.login(config.username, config.password or "")
        options, encoding = [], "ascii"
        if to.needs_utf8:
            await client.ehlo()
            if not client.supports_extension("smtputf8"):
                return Outcome(Fate.REFUSED, "address_not_supported")
            options, encoding = ["SMTPUTF8", "BODY=8BITMIME"], "utf-8"
        mail = mail_of(letter, to=to, sent=config.sent)
        await client.mail(config.sent.address, options=options, encoding=encoding)
        await client.rcpt(to.text, encoding=encoding)
        progress.is_going_out = True
        await client.data(mail)
        # The server has it: what happens to the farewell changes nothing.
        with suppress(SMTPException, OSError):
            await client.quit(timeout=_FAREWELL_S)
        return Outcome(Fate.SENT)


@dataclass(slots=True)
class _Progress:
    """How far a conversation has come."""

    is_going_out: bool = False
    """The mail itself is on its way: if the connection is lost now, nobody knows."""


def _answered(error: SMTPResponseException) -> Outcome:
    """Return what an answer of the server means. Its text may name the receiver: it is dropped."""
    reason = f"smtp_{error.code:03d}" if error.code in _CODES else "smtp_unreadable"
    is_about_us = isinstance(error, _ABOUT_US) or error.code in _AUTHENTICATION
    if is_about_us:
        # A wrong password or sender of ours is no reason to lose anybody's mail.
        return Outcome(Fate.POSTPONED, reason, is_their_fault=True)
    if error.code in _PERMANENT:
        return Outcome(Fate.REFUSED, reason)
    return Outcome(Fate.POSTPONED, reason, is_their_fault=error.code in _TROUBLE)
