"""Starts API keys, once people and the books are there."""

from contextlib import AsyncExitStack

from fastapi import FastAPI

from guilder.api_keys.known_keys import KnownKeys
from guilder.api_keys.quotas import Quotas
from guilder.api_keys.reader import KEY_PREFIX, ApiKeyReader
from guilder.api_keys.rules import Mode
from guilder.api_keys.service import ApiKeyService
from guilder.identity.addresses import Addresses
from guilder.identity.notices import Notices
from guilder.settings import Settings


async def start_api_keys(app: FastAPI, stack: AsyncExitStack, settings: Settings) -> None:
    """Start `state.api_keys`, and have requests that carry a key let in."""
    state = app.state
    mode = Mode.LIVE if settings.environment == "production" else Mode.TEST
    known = KnownKeys(state.storage, clock=state.clock)
    quotas = Quotas(state.storage, clock=state.clock)
    notices = Notices(state.outbox, addresses=Addresses(state.vault), clock=state.clock)
    state.api_keys = ApiKeyService(
        state.storage,
        book=state.journal.book,
        clock=state.clock,
        mode=mode,
        known=known,
        quotas=quotas,
        audit=state.audit,
        notices=notices,
    )
    await known.start()
    stack.push_async_callback(known.stop)
    quotas.start()
    stack.push_async_callback(quotas.stop)
    reader = ApiKeyReader(
        known,
        quotas,
        mode=mode,
        audit=state.audit,
        clock=state.clock,
        is_outdated=state.identity.is_outdated,
        trusted_proxies=settings.trusted_proxies,
    )
    state.authenticator.add_prefix(KEY_PREFIX, reader)
