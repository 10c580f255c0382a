"""The `guilder` command: serve, demo, verify, migrate, openapi, doctor."""

from guilder.cli.commands import main

__all__ = ["main"]
