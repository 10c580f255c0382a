"""The secrets of a running server: given by the settings, or made up in development."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from guilder.kernel.errors import GuilderError, Kind
from guilder.settings import PREFIX, Settings

_NAMES = ("signing_key", "pepper", "simulator_webhook_secret")
_FILE = "development-secrets.json"


class SecretMissing(GuilderError):
    """In production every secret is given from outside; none is made up."""

    code = "secret_missing"
    kind = Kind.INTERNAL
    title = "A secret is missing"


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets a running server needs, from settings or made up in development."""

    signing_key: SecretStr
    pepper: SecretStr
    simulator_webhook_secret: SecretStr
    checkpoint_key: SecretStr
    encryption_keys: tuple[SecretStr, ...]
    """The first seals, all open. The pepper is the last: nobody has to know that it was the key."""


def load_secrets(settings: Settings) -> Secrets:
    """Return every secret; in development make the missing ones once and keep them.

    Raises:
        SecretMissing: One is missing in production.
    """
    given = {
        "signing_key": settings.signing_key,
        "pepper": settings.pepper,
        "simulator_webhook_secret": settings.simulator_webhook_secret,
    }
    missing = [name for name, value in given.items() if value is None]
    if settings.environment == "production":
        # Without the simulator nothing is signed with its secret.
        missing = [name for name in missing if name != "simulator_webhook_secret"]
        if missing:
            names = ", ".join(PREFIX + name.upper() for name in missing)
            raise SecretMissing(f"Set {names} (`openssl rand -base64 48` makes one).")
    made = _development_secrets(settings.data_directory) if missing else {}
    found = {name: value or SecretStr(made.get(name, "")) for name, value in given.items()}
    sealing = (settings.encryption_key, settings.encryption_key_previous, found["pepper"])
    return Secrets(
        **found,
        checkpoint_key=settings.checkpoint_key or found["pepper"],
        encryption_keys=tuple(key for key in sealing if key is not None),
    )


def known_checkpoint_key(settings: Settings) -> SecretStr | None:
    """Return the secret of the checkpoints if there is one already; make none up."""
    known = settings.checkpoint_key or settings.pepper
    directory = settings.data_directory
    if known is None and settings.environment == "development" and _are_made(directory):
        known = SecretStr(_development_secrets(directory)["pepper"])
    return known


def _are_made(directory: Path) -> bool:
    """Tell whether there are any in the data directory."""
    return (directory / _FILE).exists()


def _development_secrets(directory: Path) -> dict[str, str]:
    """Read the made-up secrets, making them first if this is the first start.

    Invariants:
        The file belongs to this user and has mode 0600.
        Two processes that start at once end up with the same secrets.
    """
    path = directory / _FILE
    if not path.exists():
        # 0711: the unprivileged account of the bundled PostgreSQL passes through, nobody lists.
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        _publish(path, json.dumps({name: secrets.token_urlsafe(48) for name in _NAMES}, indent=2))
    return {str(name): str(value) for name, value in json.loads(path.read_text()).items()}


def _publish(path: Path, text: str) -> None:
    """Write a file of mode 0600 that is there whole or not at all; the first writer wins."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
