"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="postgresql://... or mongodb://... of your own server; without it the bundled "
        "PostgreSQL is used. "
        "Others on this machine can see options: with a password, set GUILDER_DATABASE_URL."
    ),
]
DataDirectory = Annotated[
    Path | None, typer.Option(help="Where the bundled PostgreSQL and made-up secrets are kept.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
