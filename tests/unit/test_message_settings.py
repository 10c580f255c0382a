"""Settings of e-mail and SMS: half a setup is refused, and nothing goes in clear."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from guilder.app.messages import has_mailbox, senders_of, sms_config, smtp_config
from guilder.notifications.models import Channel
from guilder.notifications.smtp import SmtpSecurity
from guilder.settings import Settings

MAIL: dict[str, Any] = {"smtp_host": "mail.example.com", "mail_from": "no-reply@example.com"}
SMS: dict[str, Any] = {
    "sms_account_sid": "AC" + "0" * 32,
    "sms_auth_token": "a token of the account",
    "sms_from": "+12025550100",
}
PRODUCTION: dict[str, Any] = {"environment": "production"}


@pytest.mark.parametrize(
    "given",
    [
        {"smtp_host": "mail.example.com"},
        {**MAIL, "smtp_username": "sender"},
        {**MAIL, "smtp_password": "a password of nobody"},
        {"smtp_username": "sender", "smtp_password": "a password of no server"},
        {"sms_auth_token": "a token of no account"},
        {**MAIL, "smtp_security": "none"},
        {**MAIL, "mail_from": "not an address"},
        {**MAIL, "mail_from": "ä@example.com"},
        {**MAIL, "mail_from": "a@example.com\r\nBcc: b@example.com"},
        {**MAIL, "mail_from_name": "Guilder\r\nBcc: b@example.com"},
        {**MAIL, "brand_name": "Guilder\nX"},
        {**MAIL, "smtp_host": "mail.example.com\r\n"},
        {**SMS, "sms_from": None},
        {**SMS, "sms_auth_token": None},
        {**SMS, "sms_account_sid": "AC0"},
        {**SMS, "sms_from": "not a number nor a name"},
        {**SMS, "sms_countries": "USA"},
        {**SMS, "sms_api_url": "http://sms.example.com"},
        {**SMS, "sms_api_url": "https://user:pass@sms.example.com"},
        {**SMS, "sms_api_url": "https://sms.example.com/path"},
    ],
)
def test_what_would_fail_later_is_refused_at_once(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**given)


def test_a_setup_becomes_the_ways_out(tmp_path: Path) -> None:
    settings = Settings(
        **MAIL,
        **SMS,
        smtp_username="sender",
        smtp_password="a password of the mail server",  # type: ignore[arg-type]
        smtp_ca_file=None,
        mail_reply_to="help@example.com",
        sms_countries="US, CA",  # type: ignore[arg-type]
    )
    mail, sms = smtp_config(settings), sms_config(settings)
    assert mail is not None
    assert sms is not None
    assert (mail.host, mail.port, mail.security) == ("mail.example.com", 587, SmtpSecurity.STARTTLS)
    assert (mail.sent.name, mail.sent.reply_to) == ("Guilder", "help@example.com")
    assert sms.countries == {"US", "CA"}
    assert set(senders_of(settings)) == set(Channel)
    for secret in ("a password of the mail server", "a token of the account"):
        assert secret not in repr((settings, mail, sms))


def test_without_a_setup_there_is_no_way_out() -> None:
    assert senders_of(Settings()) == {}


def test_only_development_shows_messages() -> None:
    secrets = {"signing_key": "x" * 32, "pepper": "y" * 32}
    assert has_mailbox(Settings())
    assert not has_mailbox(Settings(environment="production", **secrets))  # type: ignore[arg-type]
