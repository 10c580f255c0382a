"""Webhooks in: prove, store, answer; and only then fetch what they are about.

A webhook is a hint. Whoever is registered for its kind fetches the object from the gateway and
believes that.
"""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import msgspec
import structlog

from guilder.gateways.base import Gateways, SubjectKind
from guilder.gateways.errors import GatewayRefused, GatewayUnknown, WebhookSignatureInvalid
from guilder.gateways.models import ReceiptState, WebhookReceipt
from guilder.kernel.clock import Clock
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import derived_uuid, encode_id
from guilder.ledger.background import BackgroundTask
from guilder.storage.base import Range, Storage
from guilder.storage.errors import DuplicateDocument, StorageUnavailable, VersionConflict

Handler = Callable[[str, str], Awaitable[bool]]
"""Fetches what a webhook is about, by gateway name and reference, and records what follows.
Tells whether it was ours. May be called any number of times for the same object."""

FORGED_KEPT = 100
"""Places for forged webhooks; a new one takes the place of an older one."""

_AT_ONCE = 20
_RETRY_AFTER_S = (1, 5, 30, 300, 900, 3_600)
_GIVE_UP_AFTER = timedelta(days=3)
_FORGED_EVERY = timedelta(seconds=1)
_KEPT_HEADERS = ("content-type", "user-agent")
_KEPT_HEADER_MAX = 500
_log = structlog.get_logger(__name__)


class WebhookIntake:
    """The way of every webhook into Guilder.

    Args:
        handlers: Who fetches objects of which kind.
        every_ms: How often it looks for what is due when nothing comes in.
    """

    def __init__(
        self,
        storage: Storage,
        gateways: Gateways,
        handlers: Mapping[SubjectKind, Handler],
        *,
        clock: Clock,
        every_ms: int = 1_000,
    ) -> None:
        self._receipts = storage.documents(WebhookReceipt)
        self._gateways = gateways
        self._handlers = handlers
        self._clock = clock
        self._task = BackgroundTask("webhook-intake", self.process_due, every_ms=every_ms)
        self._forged_at: datetime | None = None

    @property
    def is_running(self) -> bool:
        """Tell whether stored webhooks are being processed."""
        return self._task.is_running

    def start(self) -> None:
        """Begin to process what is stored, first of all what a crash left over."""
        self._task.start()

    async def stop(self) -> None:
        """Stop; what is left is processed after the next start."""
        await self._task.stop()

    async def accept(self, name: str, headers: Mapping[str, str], raw_body: bytes) -> None:
        """Store a webhook durably. Returning means that the gateway need not send it again.

        Raises:
            NotFound: No gateway of that name is set up.
            WebhookSignatureInvalid: It is forged, stale or unreadable.
            StorageUnavailable: It could not be stored; the gateway shall send it again.
        """
        try:
            gateway = self._gateways.pick(name)
        except GatewayUnknown:
            raise NotFound from None
        now = self._clock()
        receipt = _receipt(name, headers, raw_body, now)
        try:
            event = gateway.verify_webhook(headers, raw_body, now)
        except WebhookSignatureInvalid:
            await self._keep_forged(receipt)
            raise
        is_ours_to_act_on = event.kind in self._handlers
        receipt = msgspec.structs.replace(
            receipt,
            id=encode_id("receipt", derived_uuid("webhook", name, event.id)),
            event_id=event.id,
            kind=event.kind,
            reference=event.reference,
            state=ReceiptState.RECEIVED if is_ours_to_act_on else ReceiptState.IGNORED,
        )
        try:
            await self._receipts.insert(receipt)
        except DuplicateDocument:
            return
        self._task.wake()

    async def process_due(self) -> bool:
        """Fetch what due webhooks are about; tell whether there may be more."""
        due = await self._receipts.page(
            {"state": ReceiptState.RECEIVED},
            within=Range(field="due_at", below=self._clock() + timedelta(milliseconds=1)),
            limit=_AT_ONCE,
        )
        await asyncio.gather(*(self._process(receipt) for receipt in due))
        return len(due) == _AT_ONCE

    async def _process(self, receipt: WebhookReceipt) -> None:
        try:
            matched = await self._handlers[receipt.kind](receipt.gateway, receipt.reference)
            state = ReceiptState.PROCESSED if matched else ReceiptState.UNMATCHED
        except GatewayRefused:
            state = ReceiptState.UNMATCHED
        except Exception as error:  # noqa: BLE001 - one webhook must not hold up the others
            _log.warning("webhook_not_processed", receipt=receipt.id, error=repr(error))
            state = ReceiptState.RECEIVED
        try:
            await self._receipts.replace(_after_attempt(receipt, state, self._clock()))
        except VersionConflict:
            # Another process handled it as well; what it noted stands.
            return

    async def _keep_forged(self, receipt: WebhookReceipt) -> None:
        """Keep a forged webhook for inspection: few, and not often, so that it costs the forger
        more.
        """
        now = receipt.created_at
        if self._forged_at is not None and now - self._forged_at < _FORGED_EVERY:
            return
        self._forged_at = now
        _log.warning("webhook_forged", gateway=receipt.gateway)
        try:
            await self._receipts.delete(receipt.id)
            await self._receipts.insert(receipt)
        except (StorageUnavailable, DuplicateDocument):
            # The answer is 400 whether it could be kept or not.
            return


def _receipt(
    name: str, headers: Mapping[str, str], raw_body: bytes, now: datetime
) -> WebhookReceipt:
    """Return what is kept of a webhook that nothing is known about yet: as if forged."""
    place = int.from_bytes(hashlib.sha256(raw_body).digest()[:4], "big") % FORGED_KEPT
    kept = {
        key: value.encode("ascii", "replace").decode()[:_KEPT_HEADER_MAX]
        for key, value in headers.items()
        if key in _KEPT_HEADERS or "signature" in key
    }
    return WebhookReceipt(
        id=encode_id("receipt", derived_uuid("forged-webhook", name, str(place))),
        gateway=name,
        event_id="",
        kind=SubjectKind.OTHER,
        reference="",
        body=b64encode(raw_body).decode(),
        headers=kept,
        state=ReceiptState.FORGED,
        due_at=now,
        created_at=now,
        updated_at=now,
    )


def _after_attempt(receipt: WebhookReceipt, state: ReceiptState, now: datetime) -> WebhookReceipt:
    """Return a receipt after an attempt that left it in `state`. `RECEIVED` means: again later."""
    due_at = receipt.due_at
    if state is ReceiptState.RECEIVED:
        place = min(receipt.attempts, len(_RETRY_AFTER_S) - 1)
        due_at = now + timedelta(seconds=_RETRY_AFTER_S[place])
        if now - receipt.created_at >= _GIVE_UP_AFTER:
            state = ReceiptState.ABANDONED
    return msgspec.structs.replace(
        receipt, state=state, due_at=due_at, attempts=receipt.attempts + 1, updated_at=now
    )
