# ruff: noqa: PLC0415 - as in `commands`: what a command needs is imported inside of it.
"""`guilder keys rotate`: bring everything that is sealed under the current encryption key."""

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from guilder.cli.exit_codes import ExitCode
from guilder.cli.options import AsJson, DatabaseUrl, DataDirectory

if TYPE_CHECKING:
    from guilder.settings import Settings
    from guilder.vault.rotation import Rotated

app = typer.Typer(help="Look after the keys that seal personal data.", no_args_is_help=True)


@app.callback()
def _keys() -> None:
    """Keep `rotate` a word of its own, also while it is the only one."""


@app.command()
def rotate(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only count what is not under the current key.")
    ] = False,
    database_url: DatabaseUrl = None,
    data_directory: DataDirectory = None,
    as_json: AsJson = False,
) -> None:
    """Seal everything under the current encryption key. Guilder may run; repeat it at will."""
    from guilder.settings import load_settings

    settings = load_settings(database_url=database_url, data_directory=data_directory)
    found = asyncio.run(rotated(settings, is_check=check))
    typer.echo(json.dumps([asdict(each) for each in found]) if as_json else as_text(found))
    if not all(each.is_done for each in found):
        raise typer.Exit(ExitCode.WRONG)


async def rotated(settings: "Settings", *, is_check: bool) -> "list[Rotated]":
    """Re-wrap, or count, what is sealed in the database that the settings name.

    Raises:
        NoDatabase: There was never a Guilder in the data directory.
        NotMigrated: `guilder migrate` has to run first.
        StorageUnavailable: The database is away.
        SecretMissing: In production, a secret is not given.
    """
    from guilder.app.features import MODELS
    from guilder.app.services import vault_of
    from guilder.cli import books
    from guilder.server_secrets import load_secrets
    from guilder.vault.rotation import rotate as rotate_values

    async with books.existing(settings, is_beside=True) as storage:
        vault = vault_of(load_secrets(settings))
        return await rotate_values(storage, vault, MODELS, is_check=is_check)


def as_text(found: "list[Rotated]") -> str:
    """Return what was found as sentences."""
    lines = [
        f"{each.collection}: {each.current} current, {each.rewrapped} sealed anew, "
        f"{each.outdated} under another key, {each.broken} broken"
        for each in found
    ]
    if any(each.broken for each in found):
        lines.append("Some values cannot be opened: a key is missing, or somebody changed them.")
    elif any(each.outdated for each in found):
        lines.append("Some values are under another key: run `guilder keys rotate`.")
    else:
        lines.append("The current key opens everything; no other is needed.")
    return "\n".join(lines)
