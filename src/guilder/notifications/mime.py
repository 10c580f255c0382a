"""Makes a mail out of a letter: headers, a text, and a page."""

from dataclasses import dataclass
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

from guilder.notifications.rules import Address
from guilder.notifications.sending import Letter


@dataclass(frozen=True, slots=True)
class Sent:
    """Who a mail is from.

    Args:
        name: What mail programs show; may be empty.
        address: In ASCII; mails that cannot be delivered come back to it.
        reply_to: Where answers go; in ASCII.
    """

    name: str
    address: str
    reply_to: str | None = None

    @property
    def domain(self) -> str:
        """The part after the sign."""
        return self.address.rpartition("@")[2]


def mail_of(letter: Letter, *, to: Address, sent: Sent) -> bytes:
    """Return a mail as it goes over the wire.

    Args:
        to: The letter's receiver, as `rules.mail_address` returns it.

    Invariants:
        The Message-ID belongs to the stored message: a mail that is sent again is the same mail,
        and mail programs show it once. No value gets into a header but by way of the subject,
        which is one line.

    Raises:
        ValueError: A header would have a second line.
    """
    policy = SMTPUTF8 if to.needs_utf8 else SMTP
    mail = EmailMessage(policy=policy)
    mail["From"] = Mailbox(sent.name, addr_spec=sent.address)
    # As text: `Mailbox` takes no address beyond ASCII. It has passed `mail_address`.
    mail["To"] = to.text
    if sent.reply_to:
        mail["Reply-To"] = Mailbox(addr_spec=sent.reply_to)
    mail["Subject"] = letter.subject
    mail["Date"] = letter.created_at
    mail["Message-ID"] = f"<{letter.id}@{sent.domain}>"
    # RFC 3834: no out-of-office answers to a machine.
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(letter.text, cte="quoted-printable")
    mail.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    return mail.as_bytes()
