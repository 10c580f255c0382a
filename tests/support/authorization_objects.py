"""Everything that a path may name, really made, for whomever it is to belong to."""

import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import httpx2

from guilder.identity.devices import Device
from guilder.identity.factors.devices import TrustedDevices
from guilder.identity.factors.passkey_models import Passkey
from guilder.identity.permissions import Permission
from guilder.kernel.clock import rfc3339, utc_now
from guilder.kernel.ids import UserId, new_id
from guilder.vault.vault import context_of
from tests.support.authorization_world import World, api_key, stored
from tests.support.http import Person


async def _done(answer: Awaitable[httpx2.Response], field: str) -> str:
    return str((await answer).raise_for_status().json()[field])


def _money(to: Person) -> dict[str, Any]:
    return {"amount": 1, "currency": "USD", "to": {"wallet_id": to.user["wallet_id"]}}


async def _wallet(_: World, person: Person) -> str:
    return str(person.user["wallet_id"])


async def _user(_: World, person: Person) -> str:
    return str(person.user["id"])


async def _transfer(world: World, person: Person) -> str:
    return await _done(person.post("/v1/transfers", _money(world.third)), "transaction_id")


async def _incoming_transfer(world: World, person: Person) -> str:
    return await _done(world.third.post("/v1/transfers", _money(person)), "transaction_id")


async def _hold(world: World, person: Person) -> str:
    return await _done(person.post("/v1/holds", _money(world.third)), "hold_id")


async def _incoming_hold(world: World, person: Person) -> str:
    return await _done(world.third.post("/v1/holds", _money(person)), "hold_id")


async def _payment(_: World, person: Person) -> str:
    body = {"amount": 1, "currency": "USD"}
    return await _done(person.post("/v1/wallet/add-funds", body), "payment_id")


async def _payout(_: World, person: Person) -> str:
    destination = {"type": "bank_account", "token": "bank_ok"}
    body = {"amount": 1, "currency": "USD", "destination": destination}
    return await _done(person.post("/v1/wallet/withdraw", body), "payout_id")


async def _request(payee: Person, payer: Person) -> str:
    body = {"amount": 1, "currency": "USD", "from": {"wallet_id": payer.user["wallet_id"]}}
    return await _done(payee.post("/v1/payment-requests", body), "payment_request_id")


async def _payment_request(world: World, person: Person) -> str:
    return await _request(person, world.third)


async def _incoming_payment_request(world: World, person: Person) -> str:
    return await _request(world.third, person)


async def _schedule(world: World, person: Person) -> str:
    body = {**_money(world.third), "start_at": rfc3339(utc_now() + timedelta(days=9))}
    return await _done(person.post("/v1/schedules", body), "schedule_id")


async def _session(world: World, person: Person) -> str:
    user = await stored(world.running, person)
    await world.running.app.state.identity.sessions.open(user, has_both_factors=True)
    answer = (await person.get("/v1/sessions")).raise_for_status().json()
    return str(next(each["id"] for each in answer["data"] if not each["is_current"]))


async def _device(world: World, person: Person) -> str:
    storage, user = world.running.app.state.storage, await stored(world.running, person)
    devices = TrustedDevices(storage, clock=utc_now)
    await devices.trust(user, secrets.token_urlsafe(), Device())
    return (await devices.of(user))[0].id


async def _passkey(world: World, person: Person) -> str:
    now = utc_now()
    state, passkey_id = world.running.app.state, new_id("passkey")
    passkey = Passkey(
        id=passkey_id,
        user_id=UserId(person.user["id"]),
        name=state.vault.seal("Key", context=context_of(Passkey.collection, passkey_id, "name")),
        credential_id=secrets.token_urlsafe(),
        public_key="",
        sign_count=0,
        created_at=now,
        updated_at=now,
    )
    await state.storage.documents(Passkey).insert(passkey)
    return passkey.id


async def _api_key(world: World, person: Person) -> str:
    shown = await api_key(world.running, person, frozenset({Permission.WALLET_READ}))
    return shown.key.id


async def _kyc_document(_: World, person: Person) -> str:
    body = {"kind": "passport", "reference": secrets.token_hex(8)}
    return await _done(person.post("/v1/kyc/documents", body), "document_id")


async def _challenge(_: World, __: Person) -> str:
    return new_id("challenge")


async def _provider(_: World, __: Person) -> str:
    return "google"


async def _gateway(_: World, __: Person) -> str:
    return "simulator"


MAKERS: Final[dict[str, Callable[[World, Person], Awaitable[str]]]] = {
    "wallet": _wallet,
    "person": _user,
    "transfer": _transfer,
    "incoming_transfer": _incoming_transfer,
    "hold": _hold,
    "incoming_hold": _incoming_hold,
    "payment": _payment,
    "payout": _payout,
    "payment_request": _payment_request,
    "incoming_payment_request": _incoming_payment_request,
    "schedule": _schedule,
    "session": _session,
    "device": _device,
    "passkey": _passkey,
    "api_key": _api_key,
    "kyc_document": _kyc_document,
    "challenge": _challenge,
    "provider": _provider,
    "gateway": _gateway,
}
"""Make an object that belongs to somebody, and return what a path names it by."""


async def there_is(world: World, kind: str | None, person: Person) -> str:
    """Return the name of an object of somebody's, made once: for whoever will not change it."""
    if kind is None:
        return ""
    place = kind, str(person.user["id"])
    if place not in world.objects:
        world.objects[place] = await MAKERS[kind](world, person)
    return world.objects[place]
