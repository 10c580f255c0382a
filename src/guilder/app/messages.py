"""Starts what tells people things, from what the settings say about e-mail and SMS."""

from contextlib import AsyncExitStack

from fastapi import FastAPI

from guilder.notifications.mailbox import Mailbox
from guilder.notifications.mime import Sent
from guilder.notifications.models import Channel
from guilder.notifications.sending import Sender
from guilder.notifications.service import Notifications
from guilder.notifications.sms import SmsConfig, SmsSender
from guilder.notifications.smtp import SmtpConfig, SmtpSecurity, SmtpSender
from guilder.settings import Settings


def start_messages(app: FastAPI, stack: AsyncExitStack, settings: Settings) -> None:
    """Start the outbox and what sends from it: `app.state.outbox`, `app.state.mailbox`."""
    state = app.state
    mailbox = None
    if has_mailbox(settings):
        mailbox = Mailbox(state.storage, vault=state.vault, clock=state.clock)
    notifications = Notifications(
        state.storage,
        vault=state.vault,
        clock=state.clock,
        senders=senders_of(settings),
        mailbox=mailbox,
        brand=settings.brand_name,
    )
    state.mailbox, state.outbox = mailbox, notifications.outbox
    notifications.start()
    stack.push_async_callback(notifications.stop)


def has_mailbox(settings: Settings) -> bool:
    """Tell whether messages without a way out are shown instead: never in production."""
    return settings.environment == "development"


def senders_of(settings: Settings) -> dict[Channel, Sender]:
    """Return the ways out that are set up."""
    found: dict[Channel, Sender] = {}
    smtp, sms = smtp_config(settings), sms_config(settings)
    if smtp is not None:
        found[Channel.EMAIL] = SmtpSender(smtp)
    if sms is not None:
        found[Channel.SMS] = SmsSender(sms)
    return found


def smtp_config(settings: Settings) -> SmtpConfig | None:
    """Return where mail goes, if anywhere. `Settings` has seen to it that all is given."""
    if settings.smtp_host is None or settings.mail_from is None:
        return None
    password = settings.smtp_password
    return SmtpConfig(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=SmtpSecurity(settings.smtp_security),
        sent=Sent(
            name=settings.mail_from_name or settings.brand_name,
            address=settings.mail_from,
            reply_to=settings.mail_reply_to,
        ),
        username=settings.smtp_username,
        password=password.get_secret_value() if password else None,
        ca_file=settings.smtp_ca_file,
    )


def sms_config(settings: Settings) -> SmsConfig | None:
    """Return where SMS go, if anywhere. `Settings` has seen to it that all is given."""
    account, token, sender = (
        settings.sms_account_sid,
        settings.sms_auth_token,
        settings.sms_from,
    )
    if account is None or token is None or sender is None:
        return None
    return SmsConfig(
        account=account,
        token=token.get_secret_value(),
        sent_from=sender,
        api_url=settings.sms_api_url,
        countries=frozenset(settings.sms_countries),
        country_most=settings.sms_country_limit,
    )
