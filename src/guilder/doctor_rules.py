"""What a doctor's rule says, and the rules about people: how they are written to and let in."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

from guilder.settings import Settings


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """Guilder refuses to serve in production like this."""
    WARNING = "warning"
    """Works, and is weaker than it need be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One unsafe setting.

    Args:
        severity: How bad it is.
        setting: Its name.
        problem: What can happen.
        cure: What to do.
    """

    severity: Severity
    setting: str
    problem: str
    cure: str

    @property
    def is_error(self) -> bool:
        """Whether production refuses it."""
        return self.severity is Severity.ERROR

    def as_dict(self) -> dict[str, str]:
        """Return the finding as plain data."""
        return {name: str(value) for name, value in asdict(self).items()}


Findings = Iterator[Finding]
Rule = Callable[[Settings], Findings]


def error(setting: str, problem: str, cure: str) -> Finding:
    """Return what Guilder refuses to serve with in production."""
    return Finding(Severity.ERROR, setting, problem, cure)


def warning(setting: str, problem: str, cure: str) -> Finding:
    """Return what works, and is weaker than it need be."""
    return Finding(Severity.WARNING, setting, problem, cure)


def messages(settings: Settings) -> Findings:
    """Who has to prove an address, or has lost a password, is written to."""
    if settings.environment != "production":
        return
    if settings.smtp_host is None:
        yield error(
            "smtp_host",
            "No e-mail is sent: nobody can verify an address, recover an account, or be warned.",
            "Set GUILDER_SMTP_HOST and GUILDER_MAIL_FROM; see docs/guides/e-mail.md.",
        )
    if not settings.verified_contact_required:
        yield warning(
            "verified_contact_required",
            "Anybody can open an account with somebody else's e-mail address, and use it.",
            "Set GUILDER_VERIFIED_CONTACT_REQUIRED=true.",
        )
    if settings.recovery_url is not None and not settings.recovery_url.startswith("https://"):
        yield error(
            "recovery_url",
            "Whoever is in between can change the page on which passwords are set.",
            "Set GUILDER_RECOVERY_URL to an https address.",
        )
    if settings.sms_account_sid is None:
        yield warning(
            "sms_account_sid",
            "No SMS is sent: nobody can verify a phone number, or sign in with one.",
            "Set GUILDER_SMS_ACCOUNT_SID, _AUTH_TOKEN and _FROM; see docs/guides/sms.md.",
        )
    elif not settings.sms_countries:
        yield warning(
            "sms_countries",
            "SMS go to every country: who rents expensive numbers abroad can ask for them.",
            "Set GUILDER_SMS_COUNTRIES to the countries you serve, such as US,CA.",
        )


def outside(settings: Settings) -> Findings:
    """Codes and secrets of signing in by other companies go over TLS."""
    if settings.outside_return_urls and not settings.oidc_providers:
        yield warning(
            "outside_return_urls",
            "No company is set up: nobody can sign in by one.",
            "Set GUILDER_OIDC_PROVIDERS, see docs/guides/openid-connect.md; or remove it.",
        )
    if settings.environment == "production":
        for url in settings.outside_return_urls:
            if not url.startswith("https://"):
                problem = f"Whoever is in between sees the sign-in codes that go to {url}."
                yield error("outside_return_urls", problem, "List https addresses only.")
        for each in settings.oidc_providers:
            if each.issuer and not each.issuer.startswith("https://"):
                problem = f"{each.name} is on this machine, in clear: a provider for tests?"
                yield warning("oidc_providers", problem, "Give the issuer's https address.")


def staff(settings: Settings) -> Findings:
    """A password alone opens nobody else's account."""
    if settings.environment == "production" and not settings.staff_second_factor_required:
        yield error(
            "staff_second_factor_required",
            "Whoever has an operator's password can set roles, and read who everybody is.",
            "Set GUILDER_STAFF_SECOND_FACTOR_REQUIRED=true.",
        )


def step_up(settings: Settings) -> Findings:
    """Whoever steals a session must not be able to empty a wallet with it."""
    if settings.environment != "production":
        return
    if not settings.step_up_payouts:
        yield warning(
            "step_up_payouts",
            "Whoever has somebody's session can take the money out.",
            "Set GUILDER_STEP_UP_PAYOUTS=true.",
        )
    if not settings.step_up_transfer_minor:
        yield warning(
            "step_up_transfer_minor",
            "Whoever has somebody's session can send any amount.",
            'Set GUILDER_STEP_UP_TRANSFER_MINOR, such as {"USD": 50000}; see '
            "docs/guides/second-factors.md.",
        )
