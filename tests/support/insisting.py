"""Clients that do not give up: 503 says that nothing is wrong but the moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from guilder.kernel.errors import Unavailable

T = TypeVar("T")


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer: on a busy machine there may be no connection for a while, and
    MongoDB lets only so many wait for one document."""
    while True:
        try:
            return await ask()
        except Unavailable:
            await asyncio.sleep(0.01)
