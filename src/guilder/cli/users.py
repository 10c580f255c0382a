# ruff: noqa: PLC0415 - as in `commands`: what a command needs is imported inside of it.
"""`guilder users make-operator`: the first operator. There is no account to begin with."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from guilder.cli.exit_codes import ExitCode
from guilder.cli.options import DatabaseUrl, DataDirectory

if TYPE_CHECKING:
    from guilder.identity.models import User
    from guilder.settings import Settings

app = typer.Typer(help="Look after the people of a deployment.", no_args_is_help=True)


@app.callback()
def _users() -> None:
    """Keep `make-operator` a word of its own, also while it is the only one."""


@app.command("make-operator")
def make_operator(
    email: Annotated[str, typer.Argument(help="Address of somebody who has registered.")],
    *,
    database_url: DatabaseUrl = None,
    data_directory: DataDirectory = None,
) -> None:
    """Make somebody an operator, who then sets the others' roles. Guilder may run."""
    from guilder.settings import load_settings

    settings = load_settings(database_url=database_url, data_directory=data_directory)
    user = asyncio.run(made_operator(settings, email))
    if user is None:
        typer.echo("Nobody has registered with this address.", err=True)
        raise typer.Exit(ExitCode.WRONG)
    typer.echo(f"{user.id} is an operator. Whoever has this role moves no money.")
    typer.echo("To use it: set up a second factor, if there is none, and sign in with it.")


async def made_operator(settings: "Settings", email: str) -> "User | None":
    """Give the operator's role in the database of the settings; None if there is no such user.

    Raises:
        NoDatabase: There was never a Guilder in the data directory.
        NotMigrated: `guilder migrate` has to run first.
        StorageUnavailable: The database is away.
        SecretMissing: In production, a secret is not given.
    """
    from guilder.app.services import vault_of
    from guilder.audit.rules import SYSTEM
    from guilder.audit.trail import AuditTrail
    from guilder.cli import books
    from guilder.identity import rules
    from guilder.identity.addresses import Addresses
    from guilder.identity.models import User
    from guilder.identity.role_changes import RoleChanges
    from guilder.identity.roles import Role
    from guilder.kernel.clock import utc_now
    from guilder.server_secrets import load_secrets

    normal = rules.normal_email(email)
    if normal is None:
        return None
    async with books.existing(settings, is_beside=True) as storage:
        addresses = Addresses(vault_of(load_secrets(settings)))
        user = await storage.documents(User).find_one({"email_key": addresses.email_key(normal)})
        if user is None:
            return None
        changes = RoleChanges(storage, clock=utc_now, audit=AuditTrail(storage, clock=utc_now))
        return await changes.set(user.user_id, Role.OPERATOR, actor=SYSTEM)
