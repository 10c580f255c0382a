"""Sends the simulator's webhooks out of its outbox until they are taken or given up."""

import asyncio
from datetime import datetime, timedelta

import httpx2
import msgspec

from guilder.gateways.simulator.config import SimulatorConfig
from guilder.gateways.simulator.models import Delivery, DeliveryState
from guilder.gateways.simulator.signatures import HEADER, sign
from guilder.kernel.clock import Clock
from guilder.storage.base import Range, Storage
from guilder.storage.errors import VersionConflict

_AT_ONCE = 20
_FORGED_SECRETS = ("not the secret",)


class WebhookSender:
    """The outgoing side of the simulator's webhooks. At least once, in no promised order."""

    def __init__(self, storage: Storage, config: SimulatorConfig, *, clock: Clock) -> None:
        self._deliveries = storage.documents(Delivery)
        self._config = config
        self._clock = clock
        self._client = httpx2.AsyncClient(timeout=config.timeout_ms / 1000, trust_env=False)

    async def send_due(self) -> bool:
        """Try what is due once; tell whether there may be more."""
        due = await self._deliveries.page(
            {"state": DeliveryState.WAITING},
            within=Range(field="due_at", below=self._clock() + timedelta(milliseconds=1)),
            limit=_AT_ONCE,
        )
        await asyncio.gather(*(self._send(delivery) for delivery in due))
        return len(due) == _AT_ONCE

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def _send(self, delivery: Delivery) -> None:
        body = delivery.body.encode()
        secrets = _FORGED_SECRETS if delivery.is_forged else self._config.webhook_secrets
        headers = {
            HEADER: sign(body, secrets=secrets, now=self._clock()),
            "content-type": "application/json",
        }
        try:
            answer = await self._client.post(
                self._config.webhook_url, content=body, headers=headers
            )
            is_accepted = answer.is_success
        except httpx2.HTTPError:
            is_accepted = False
        after = after_attempt(delivery, self._config, is_accepted=is_accepted, now=self._clock())
        try:
            await self._deliveries.replace(after)
        except VersionConflict:
            # Another process sent it as well; what it noted stands.
            return


def after_attempt(
    delivery: Delivery, config: SimulatorConfig, *, is_accepted: bool, now: datetime
) -> Delivery:
    """Return a webhook as it stands after an attempt to deliver it. Pure."""
    attempts = delivery.attempts + 1
    state, due_at = DeliveryState.WAITING, delivery.due_at
    if is_accepted or delivery.is_forged:
        state = DeliveryState.DELIVERED
    elif attempts > len(config.retry_after_ms):
        state = DeliveryState.ABANDONED
    else:
        due_at = now + timedelta(milliseconds=config.retry_after_ms[attempts - 1])
    return msgspec.structs.replace(
        delivery, state=state, due_at=due_at, attempts=attempts, updated_at=now
    )
