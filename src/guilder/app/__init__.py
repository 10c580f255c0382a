"""Puts everything together: `create_app(settings)` for any server, `serve(settings)` to run it."""

from guilder.app.create import create_app
from guilder.app.serve import UnsafeSettings, serve

__all__ = ["UnsafeSettings", "create_app", "serve"]
