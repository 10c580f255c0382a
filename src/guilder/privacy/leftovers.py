"""What hangs on an account beside user and wallet: found before it is closed, erased afterwards."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from guilder.api_keys.models import ApiKey
from guilder.identity.authentication import Principal
from guilder.identity.erasure import CLOSED_NAME
from guilder.kernel.clock import Clock
from guilder.payment_requests.errors import PaymentRequestEnded, PaymentRequestExpired
from guilder.payment_requests.models import PaymentRequest
from guilder.payment_requests.rules import PaymentRequestStatus
from guilder.payment_requests.service import PaymentRequestService
from guilder.payments.models import Payment
from guilder.payouts.models import Payout
from guilder.privacy.holdings import HOLDINGS, AtClosing
from guilder.privacy.reader import Person, documents_of
from guilder.privacy.rules import is_open_payment, is_open_payout
from guilder.schedules.errors import ScheduleEnded
from guilder.schedules.models import Schedule
from guilder.schedules.rules import ScheduleStatus
from guilder.schedules.service import ScheduleService
from guilder.storage.base import Document, Storage
from guilder.storage.errors import VersionConflict

D = TypeVar("D", bound=Document)

_BY_MODEL = {each.model: each for each in HOLDINGS}


class Leftovers:
    """Everything of a person that is neither the user nor the money. Doing it twice is harmless."""

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        payment_requests: PaymentRequestService,
        schedules: ScheduleService,
    ) -> None:
        """Take what finding and ending need."""
        self._storage = storage
        self._clock = clock
        self._payment_requests = payment_requests
        self._schedules = schedules

    async def open_payments(self, person: Person) -> list[Payment]:
        """Return the payments by which money may still arrive."""
        found = documents_of(self._storage, _BY_MODEL[Payment], person)
        return [each async for each in found if isinstance(each, Payment) and is_open_payment(each)]

    async def open_payouts(self, person: Person) -> list[Payout]:
        """Return the payouts whose money may still come back."""
        found = documents_of(self._storage, _BY_MODEL[Payout], person)
        return [each async for each in found if isinstance(each, Payout) and is_open_payout(each)]

    async def end_plans(self, person: Person) -> None:
        """Cancel what was planned, take back what was asked for, and decline what is asked."""
        mine = Principal(person.user_id, person.wallet_id, None)
        async for schedule in documents_of(self._storage, _BY_MODEL[Schedule], person):
            if isinstance(schedule, Schedule) and schedule.status is ScheduleStatus.ACTIVE:
                with suppress(ScheduleEnded):
                    await self._schedules.cancel(schedule.id, mine)
        async for request in documents_of(self._storage, _BY_MODEL[PaymentRequest], person):
            if not isinstance(request, PaymentRequest):
                continue
            if request.status is PaymentRequestStatus.PENDING:
                with suppress(PaymentRequestEnded, PaymentRequestExpired):
                    if request.payee_wallet_id == person.wallet_id:
                        await self._payment_requests.cancel(mine, request.id)
                    else:
                        await self._payment_requests.decline(mine, request.id)

    async def erase(self, person: Person) -> None:
        """Remove what `HOLDINGS` says is erased, and the name where the document stays."""
        for holding in HOLDINGS:
            if holding.at_closing is AtClosing.ERASED:
                collection = self._storage.documents(holding.model)
                async for each in documents_of(self._storage, holding, person):
                    await collection.delete(each.id)
        now = self._clock()
        await self._empty(PaymentRequest, person, partial(_without_payee, person=person, now=now))
        await self._empty(ApiKey, person, partial(_without_name, now=now))

    async def _empty(self, model: type[D], person: Person, change: Callable[[D], D]) -> None:
        """Store each of a person's documents of one kind without what is personal in it."""
        collection = self._storage.documents(model)
        async for each in documents_of(self._storage, _BY_MODEL[model], person):
            while True:
                found = await collection.get(each.id)
                if found is None or (changed := change(found)) == found:
                    break
                with suppress(VersionConflict):
                    await collection.replace(changed)
                    break


def _without_payee(request: PaymentRequest, *, person: Person, now: datetime) -> PaymentRequest:
    is_done = request.payee_name == CLOSED_NAME
    if is_done or request.payee_wallet_id != person.wallet_id:
        return request
    return replace(request, payee_name=CLOSED_NAME, updated_at=now)


def _without_name(key: ApiKey, *, now: datetime) -> ApiKey:
    """Revoke a key; every process sees that by its new time."""
    if key.is_revoked and not key.name:
        return key
    return replace(key, name="", addresses=(), is_revoked=True, updated_at=now)
