"""Looks at settings, and at the files they name, for what is unsafe; says how each is cured."""

import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from guilder.settings import Settings, unknown_variables

BCRYPT_COST_MIN: Final = 10
ACCESS_TTL_MAX_S: Final = 3_600
DISTINCT_MIN: Final = 12
"""32 characters of a random base64 secret have about 25 different ones."""
_LOOKS_LIKE_A_SAMPLE: Final = re.compile(
    r"change|example|secret|password|default|guilder|sample|test|1234|abcd", re.IGNORECASE
)


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


def doctor(settings: Settings) -> list[Finding]:
    """Return everything unsafe about these settings, errors first."""
    found = [finding for rule in _RULES for finding in rule(settings)]
    return sorted(found, key=lambda finding: not finding.is_error)


def errors(settings: Settings) -> list[Finding]:
    """Return what production refuses."""
    return [finding for finding in doctor(settings) if finding.is_error]


def _error(setting: str, problem: str, cure: str) -> Finding:
    return Finding(Severity.ERROR, setting, problem, cure)


def _warning(setting: str, problem: str, cure: str) -> Finding:
    return Finding(Severity.WARNING, setting, problem, cure)


def _environment(settings: Settings) -> Findings:
    """Development is for one's own machine."""
    if settings.environment == "development" and not settings.is_loopback:
        yield _error(
            "environment",
            f"Development mode listens on {settings.host}: others can reach the simulator.",
            "Set GUILDER_ENVIRONMENT=production, or GUILDER_HOST=127.0.0.1.",
        )


def _secrets(settings: Settings) -> Findings:
    """Secrets are random, there, and not one for everything."""
    given = {
        "signing_key": settings.signing_key,
        "pepper": settings.pepper,
        "simulator_webhook_secret": settings.simulator_webhook_secret,
        "metrics_token": settings.metrics_token,
    }
    cure = "Make one with `openssl rand -base64 48`."
    for name, secret in given.items():
        if secret is None:
            if settings.environment == "production" and name in {"signing_key", "pepper"}:
                yield _error(name, "It is required in production.", cure)
        elif _is_weak(secret):
            yield _error(name, "It can be guessed.", cure)
    values = Counter(secret.get_secret_value() for secret in given.values() if secret is not None)
    if any(count > 1 for count in values.values()):
        yield _error("signing_key", "Two secrets are the same.", "Give each use its own secret.")


def _is_weak(secret: SecretStr) -> bool:
    """Tell whether a secret looks made by hand."""
    text = secret.get_secret_value()
    return len(set(text)) < DISTINCT_MIN or bool(_LOOKS_LIKE_A_SAMPLE.search(text))


def _public_url(settings: Settings) -> Findings:
    """People reach production over TLS, under a name that is known."""
    if settings.environment != "production":
        return
    if settings.public_url is None:
        yield _error(
            "public_url",
            "Links would point to the address that is listened on.",
            "Set GUILDER_PUBLIC_URL to the https address that people use.",
        )
    elif not settings.public_url.startswith("https://"):
        yield _error(
            "public_url",
            "Passwords and tokens would cross the network in clear.",
            "Put a TLS proxy in front and set GUILDER_PUBLIC_URL to its https address.",
        )


def _simulator(settings: Settings) -> Findings:
    """Nobody makes money out of nothing. `Settings` refuses it too."""
    if settings.simulator_enabled and settings.environment == "production":
        yield _error(
            "simulator_enabled",
            "Anybody could credit a wallet without paying.",
            "Set GUILDER_SIMULATOR_ENABLED=false.",
        )


def _inside_views(settings: Settings) -> Findings:
    """What shows the inside is not for everybody."""
    if settings.environment != "production":
        return
    if settings.docs_enabled:
        yield _warning(
            "docs_enabled",
            "Everybody can read the API's description.",
            "Set GUILDER_DOCS_ENABLED=false unless that is wanted.",
        )
    if settings.metrics_enabled and settings.metrics_token is None:
        yield _error(
            "metrics_enabled",
            "Everybody can read how much business is done.",
            "Set GUILDER_METRICS_TOKEN, or GUILDER_METRICS_ENABLED=false.",
        )
    if settings.log_level == "debug":
        yield _warning("log_level", "Debug lines say too much.", "Set GUILDER_LOG_LEVEL=info.")


def _database(settings: Settings) -> Findings:
    """Books do not cross a network unencrypted, nor under a well-known password."""
    urls = {
        "database_url": settings.database_url,
        "database_owner_url": settings.database_owner_url,
    }
    for name, secret in urls.items():
        if secret is None:
            continue
        url = urlsplit(secret.get_secret_value())
        mode = parse_qs(url.query).get("sslmode", [""])[0]
        if not _is_local(url.hostname) and mode not in {"verify-full", "verify-ca"}:
            yield _error(
                name,
                f"The connection to {url.hostname} can be read and changed: no verified TLS.",
                "Add sslmode=verify-full (and sslrootcert=...) to the address.",
            )
        if url.password is not None and url.password.lower() in {
            "",
            "postgres",
            "guilder",
            "password",
        }:
            yield _error(name, "The password is one that everybody tries.", "Change the password.")
    if settings.environment == "production" and settings.database_url is None:
        yield _warning(
            "database_url",
            "The bundled PostgreSQL has no standby: this machine's disk is the only copy.",
            "Point GUILDER_DATABASE_URL at a replicated server, or take backups off this machine.",
        )


def _is_local(host: str | None) -> bool:
    """Tell whether a database host is this machine."""
    if not host or host == "localhost" or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _data_directory(settings: Settings) -> Findings:
    """Nobody else writes where the books and secrets are."""
    directory = settings.data_directory
    if directory.exists() and directory.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield _error(
            "data_directory",
            f"Others can write into {directory}.",
            f"chmod go-w {directory}",
        )
    for path in sorted(directory.glob("*secrets*.json")) if directory.exists() else []:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield _error("data_directory", f"Others can read {path}.", f"chmod 600 {path}")


def _passwords_and_tokens(settings: Settings) -> Findings:
    """Stolen hashes resist; stolen tokens end soon; guessing is slow."""
    if settings.bcrypt_cost < BCRYPT_COST_MIN:
        yield _error(
            "bcrypt_cost",
            f"Stolen hashes of cost {settings.bcrypt_cost} are guessed quickly.",
            "Set GUILDER_BCRYPT_COST=12.",
        )
    if settings.access_ttl_s > ACCESS_TTL_MAX_S:
        yield _warning(
            "access_ttl_s",
            "A stolen access token is good for more than an hour.",
            "Set GUILDER_ACCESS_TTL_S=900.",
        )
    if not settings.rate_limit_enabled:
        yield _error(
            "rate_limit_enabled",
            "Passwords can be tried without end.",
            "Set GUILDER_RATE_LIMIT_ENABLED=true.",
        )


def _proxies(settings: Settings) -> Findings:
    """A trusted proxy is one machine or network, not the internet."""
    if any(network.prefixlen == 0 for network in settings.trusted_proxies):
        yield _error(
            "trusted_proxies",
            "Everybody can pretend any address, and escape every limit.",
            "List only the addresses of your own proxies.",
        )


def _misspelt(_: Settings) -> Findings:
    """Every variable that looks like a setting is one."""
    for name in unknown_variables():
        yield _warning(
            name, "No setting has this name: it changes nothing.", "Correct or remove it."
        )


_RULES: Final[tuple[Rule, ...]] = (
    _environment,
    _secrets,
    _public_url,
    _simulator,
    _inside_views,
    _database,
    _data_directory,
    _passwords_and_tokens,
    _proxies,
    _misspelt,
)
