"""Looks at settings, and at the files they name, for what is unsafe; says how each is cured."""

import re
import stat
from collections import Counter
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import SecretStr

from guilder.doctor_rules import (
    Finding,
    Findings,
    Rule,
    error,
    messages,
    outside,
    staff,
    step_up,
    warning,
)
from guilder.settings import Settings, unknown_variables

__all__ = ["Finding", "doctor", "errors"]

BCRYPT_COST_MIN: Final = 10
ACCESS_TTL_MAX_S: Final = 3_600
BUNDLED_WORKERS_MAX: Final = 9
"""Of its 100 connections each worker takes up to 10; the rest is for who looks after it."""
DISTINCT_MIN: Final = 12
"""32 characters of a random base64 secret have about 25 different ones."""
_LOOKS_LIKE_A_SAMPLE: Final = re.compile(
    r"change|example|secret|password|default|guilder|sample|test|1234|abcd", re.IGNORECASE
)


_UNVERIFIED: Final = ("tlsinsecure", "tlsallowinvalidcertificates", "tlsallowinvalidhostnames")


def doctor(settings: Settings) -> list[Finding]:
    """Return everything unsafe about these settings, errors first."""
    found = [finding for rule in _RULES for finding in rule(settings)]
    return sorted(found, key=lambda finding: not finding.is_error)


def errors(settings: Settings) -> list[Finding]:
    """Return what production refuses."""
    return [finding for finding in doctor(settings) if finding.is_error]


def _environment(settings: Settings) -> Findings:
    """Development is for one's own machine."""
    if settings.environment == "development" and not settings.is_loopback:
        yield error(
            "environment",
            f"Development mode listens on {settings.host}: others can reach the simulator.",
            "Set GUILDER_ENVIRONMENT=production, or GUILDER_HOST=127.0.0.1.",
        )


def _secrets(settings: Settings) -> Findings:
    """Secrets are random, there, and not one for everything."""
    given = {
        "signing_key": settings.signing_key,
        "signing_key_next": settings.signing_key_next,
        "pepper": settings.pepper,
        "encryption_key": settings.encryption_key,
        "simulator_webhook_secret": settings.simulator_webhook_secret,
        "metrics_token": settings.metrics_token,
    }
    cure = "Make one with `openssl rand -base64 48`."
    for name, secret in given.items():
        if secret is None:
            if settings.environment == "production" and name in {"signing_key", "pepper"}:
                yield error(name, "It is required in production.", cure)
        elif _is_weak(secret):
            yield error(name, "It can be guessed.", cure)
    values = Counter(secret.get_secret_value() for secret in given.values() if secret is not None)
    if any(count > 1 for count in values.values()):
        yield error("signing_key", "Two secrets are the same.", "Give each use its own secret.")


def _is_weak(secret: SecretStr) -> bool:
    """Tell whether a secret looks made by hand."""
    text = secret.get_secret_value()
    return len(set(text)) < DISTINCT_MIN or bool(_LOOKS_LIKE_A_SAMPLE.search(text))


def _encryption(settings: Settings) -> Findings:
    """Personal data is sealed under a key that can be changed, which the pepper cannot."""
    if settings.encryption_key is None and settings.environment == "production":
        yield warning(
            "encryption_key",
            "The pepper seals personal data: should it leak, that key cannot be changed.",
            "Set GUILDER_ENCRYPTION_KEY (`openssl rand -base64 48`), then `guilder keys rotate`.",
        )
    previous = settings.encryption_key_previous
    if previous is not None and previous == settings.encryption_key:
        yield warning(
            "encryption_key_previous",
            "It is the encryption key itself: what an earlier one sealed cannot be opened.",
            "Give the key before the change, or remove it after `guilder keys rotate`.",
        )


def _public_url(settings: Settings) -> Findings:
    """People reach production over TLS, under a name that is known."""
    if settings.environment != "production":
        return
    if settings.public_url is None:
        yield error(
            "public_url",
            "Links would point to the address that is listened on.",
            "Set GUILDER_PUBLIC_URL to the https address that people use.",
        )
    elif not settings.public_url.startswith("https://"):
        yield error(
            "public_url",
            "Passwords and tokens would cross the network in clear.",
            "Put a TLS proxy in front and set GUILDER_PUBLIC_URL to its https address.",
        )
    elif settings.are_passkeys_local:
        yield warning(
            "public_url",
            "Browsers make no passkeys for an address without a name.",
            "Give GUILDER_PUBLIC_URL a domain name, or set GUILDER_PASSKEY_ORIGINS.",
        )


def _simulator(settings: Settings) -> Findings:
    """Nobody makes money out of nothing. `Settings` refuses it too."""
    if settings.simulator_enabled and settings.environment == "production":
        yield error(
            "simulator_enabled",
            "Anybody could credit a wallet without paying.",
            "Set GUILDER_SIMULATOR_ENABLED=false.",
        )


def _inside_views(settings: Settings) -> Findings:
    """What shows the inside is not for everybody."""
    if settings.environment != "production":
        return
    if settings.docs_enabled:
        yield warning(
            "docs_enabled",
            "Everybody can read the API's description.",
            "Set GUILDER_DOCS_ENABLED=false unless that is wanted.",
        )
    if settings.metrics_enabled and settings.metrics_token is None:
        yield error(
            "metrics_enabled",
            "Everybody can read how much business is done.",
            "Set GUILDER_METRICS_TOKEN, or GUILDER_METRICS_ENABLED=false.",
        )
    if settings.log_level == "debug":
        yield warning("log_level", "Debug lines say too much.", "Set GUILDER_LOG_LEVEL=info.")


def _is_mongodb(url: SplitResult) -> bool:
    return url.scheme.startswith("mongodb")


def _hosts(url: SplitResult) -> list[str | None]:
    """Return the hosts of an address. MongoDB's has several, each with its port."""
    if not _is_mongodb(url):
        return [url.hostname]
    listed = url.netloc.rpartition("@")[2].split(",")
    return [urlsplit(f"//{host}").hostname for host in listed]


def _is_encrypted(url: SplitResult) -> bool:
    """Tell whether nobody in between can read along, or pretend to be the database."""
    options = {name.lower(): values[-1].lower() for name, values in parse_qs(url.query).items()}
    if not _is_mongodb(url):
        return options.get("sslmode") in {"verify-full", "verify-ca"}
    if any(options.get(name) == "true" for name in _UNVERIFIED):
        return False
    default = "true" if url.scheme == "mongodb+srv" else "false"
    return options.get("tls", options.get("ssl", default)) == "true"


def _accepted(settings: Settings) -> Findings:
    """A database that may forget what it has acknowledged is somebody's responsibility."""
    if settings.database_accepted_settings:
        names = ", ".join(settings.database_accepted_settings)
        yield warning(
            "database_accepted_settings",
            f"Guilder does not insist on {names}: an acknowledged payment may be lost.",
            "Leave it out, unless the server keeps commits by other means.",
        )


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
        if not all(map(_is_local, _hosts(url))) and not _is_encrypted(url):
            cure = "tls=true" if _is_mongodb(url) else "sslmode=verify-full (and sslrootcert=...)"
            yield error(
                name,
                f"The connection to {url.hostname} can be read and changed: no verified TLS.",
                f"Add {cure} to the address.",
            )
        if url.password is not None and url.password.lower() in {
            "",
            "postgres",
            "guilder",
            "password",
        }:
            yield error(name, "The password is one that everybody tries.", "Change the password.")
    if settings.environment == "production" and settings.database_url is None:
        yield warning(
            "database_url",
            "The bundled PostgreSQL has no standby: this machine's disk is the only copy.",
            "Point GUILDER_DATABASE_URL at a replicated server, or take backups off this machine.",
        )


def _workers(settings: Settings) -> Findings:
    """There are connections enough for all workers."""
    if settings.workers > BUNDLED_WORKERS_MAX and settings.database_url is None:
        yield warning(
            "workers",
            f"The bundled PostgreSQL has connections for {BUNDLED_WORKERS_MAX} workers: "
            "requests would find none.",
            f"Set GUILDER_WORKERS={BUNDLED_WORKERS_MAX}, or give a server of your own.",
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
        yield error(
            "data_directory",
            f"Others can write into {directory}.",
            f"chmod go-w {directory}",
        )
    for path in sorted(directory.glob("*secrets*.json")) if directory.exists() else []:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield error("data_directory", f"Others can read {path}.", f"chmod 600 {path}")


def _passwords_and_tokens(settings: Settings) -> Findings:
    """Stolen hashes resist; stolen tokens end soon; guessing is slow."""
    if settings.bcrypt_cost < BCRYPT_COST_MIN:
        yield error(
            "bcrypt_cost",
            f"Stolen hashes of cost {settings.bcrypt_cost} are guessed quickly.",
            "Set GUILDER_BCRYPT_COST=12.",
        )
    if settings.access_ttl_s > ACCESS_TTL_MAX_S:
        yield warning(
            "access_ttl_s",
            "A stolen access token is good for more than an hour.",
            "Set GUILDER_ACCESS_TTL_S=900.",
        )
    if not settings.rate_limit_enabled:
        yield error(
            "rate_limit_enabled",
            "Passwords can be tried without end.",
            "Set GUILDER_RATE_LIMIT_ENABLED=true.",
        )


def _proxies(settings: Settings) -> Findings:
    """A trusted proxy is one machine or network, not the internet."""
    if any(network.prefixlen == 0 for network in settings.trusted_proxies):
        yield error(
            "trusted_proxies",
            "Everybody can pretend any address, and escape every limit.",
            "List only the addresses of your own proxies.",
        )


def _misspelt(_: Settings) -> Findings:
    """Every variable that looks like a setting is one."""
    for name in unknown_variables():
        yield warning(
            name, "No setting has this name: it changes nothing.", "Correct or remove it."
        )


_RULES: Final[tuple[Rule, ...]] = (
    _environment,
    _secrets,
    _encryption,
    _public_url,
    _simulator,
    _inside_views,
    _database,
    _accepted,
    _workers,
    _data_directory,
    _passwords_and_tokens,
    _proxies,
    messages,
    outside,
    staff,
    step_up,
    _misspelt,
)
