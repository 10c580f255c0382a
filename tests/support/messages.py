"""Letters, senders that do as they are told, and one worker's worth of notifications for tests."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from guilder.notifications.brakes import Brakes
from guilder.notifications.mime import Sent
from guilder.notifications.models import MODELS, Channel, Message
from guilder.notifications.outbox import Outbox
from guilder.notifications.rules import Limit, address_limits, number_limits
from guilder.notifications.sending import Fate, Letter, Outcome, Sender
from guilder.notifications.smtp import SmtpConfig, SmtpSecurity
from guilder.notifications.templates import write
from guilder.notifications.worker import ChannelWorker
from guilder.storage.base import Storage
from tests.support.identity import HandClock, quick_vault
from tests.support.mail_server import HOST

FROM = "no-reply@pay.example.com"

SAMPLES: dict[str, dict[str, str]] = {
    "verify_email": {"link": "https://pay.example.com/verify#token", "minutes": "10"},
    "verify_phone": {"code": "12345678", "minutes": "10"},
    "sign_up_attempt": {"at": "31 January 2026, 12:00 UTC"},
    "sign_in_code": {"code": "12345678", "minutes": "10", "device": "Firefox on Linux"},
    "password_reset": {"link": "https://pay.example.com/reset#token", "minutes": "30"},
    "password_changed": {"at": "31 January 2026, 12:00 UTC", "device": "Firefox on Linux"},
    "email_changed_old": {"new_email": "n***@example.com"},
    "email_changed_new": {},
    "phone_changed": {"new_phone": "+1 *** 0123"},
    "new_device": {"device": "Firefox on Linux", "place": "192.0.2.0", "at": "today"},
    "session_reuse": {"device": "Firefox on Linux"},
    "factor_added": {"factor": "authenticator app"},
    "factor_removed": {"factor": "passkey"},
    "way_in_added": {"way": "Google"},
    "way_in_removed": {"way": "Google"},
    "recovery_codes_used": {"left": "9"},
    "api_key_created": {"name": "bookkeeping"},
    "passkey_copy_suspected": {"at": "31 January 2026, 12:00 UTC"},
    "document_decided": {"outcome": "approved", "tier": "basic"},
    "account_closed": {"at": "31 January 2026, 12:00 UTC"},
}
"""Values for every template there is."""


def letter(**changes: Any) -> Letter:
    """Return a letter as the worker makes it."""
    values: dict[str, Any] = {
        "id": "message_01h455vb4pex5vsknk084sn02q",
        "to": "payer@example.com",
        "template": "sign_in_code",
        "values": SAMPLES["sign_in_code"],
        "created_at": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "seconds_left": 600,
        **changes,
    }
    written = write(values["template"], values["values"], brand="Guilder")
    texts = {name: getattr(written, name) for name in ("subject", "text", "html", "short")}
    return Letter(**{**texts, **values})


def smtp_config(port: int, **changes: Any) -> SmtpConfig:
    """Return where the mail server of a test is."""
    values: dict[str, Any] = {
        "host": HOST,
        "port": port,
        "security": SmtpSecurity.NONE,
        "sent": Sent("Guilder", FROM),
        **changes,
    }
    return SmtpConfig(**values)


@dataclass
class ToldSender:
    """Says what it is told to, then that everything is sent."""

    outcomes: list[Outcome] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    on_send: Callable[[Letter], Any] | None = None
    brakes_with: Callable[[str], tuple[Limit, ...]] = lambda _: ()

    def refusal(self, to: str) -> str | None:
        return None

    def limits(self, to: str) -> tuple[Limit, ...]:
        return self.brakes_with(to)

    async def send(self, letter: Letter) -> Outcome:
        self.letters.append(letter)
        if self.on_send is not None:
            await self.on_send(letter)
        return self.outcomes.pop(0) if self.outcomes else Outcome(Fate.SENT)

    async def aclose(self) -> None:
        pass


def sms_limits(to: str) -> tuple[Limit, ...]:
    return number_limits(to, country_most=200)


MAIL_LIMITS = address_limits


@dataclass
class Post:
    """An outbox and what sends from it, by hand."""

    storage: Storage
    clock: HandClock
    outbox: Outbox

    def worker(self, sender: Sender, channel: Channel = Channel.EMAIL) -> ChannelWorker:
        """Return a worker, as another process would have it."""
        vault = quick_vault()
        return ChannelWorker(
            self.storage,
            channel=channel,
            sender=sender,
            vault=vault,
            brakes=Brakes(self.storage, vault=vault, clock=self.clock),
            clock=self.clock,
            brand="Guilder",
        )

    async def put(self, template: str = "sign_in_code", **changes: Any) -> None:
        """Leave a message."""
        values: dict[str, Any] = {
            "channel": Channel.EMAIL,
            "to": "payer@example.com",
            "values": SAMPLES[template],
            "user_id": None,
            **changes,
        }
        await self.outbox.put(None, template=template, **values)

    async def messages(self) -> list[Message]:
        """Return all of them, in the order of their ids."""
        return await self.storage.documents(Message).page({}, limit=1000)

    async def message(self) -> Message:
        """Return the only one."""
        (found,) = await self.messages()
        return found


async def post(storage: Storage) -> Post:
    """Make one on a storage."""
    await storage.migrate(MODELS)
    clock = HandClock()
    return Post(storage, clock, Outbox(storage, vault=quick_vault(), clock=clock))
