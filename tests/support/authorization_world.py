"""Everybody who may send a request: people of every role, keys of every scope, and what lets nobody
in.
"""

import itertools
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import httpx2
from starlette.requests import HTTPConnection

from guilder.api_keys.rules import UsageLimits
from guilder.api_keys.values import Shown, Wanted
from guilder.app.services import identity_config
from guilder.identity.authentication import Principal
from guilder.identity.errors import Unauthenticated
from guilder.identity.models import User
from guilder.identity.permissions import GRANTABLE, Permission, Role
from guilder.identity.role_changes import RoleChanges
from guilder.identity.tokens import AccessTokens
from guilder.kernel.clock import utc_now
from guilder.kernel.ids import SessionId, UserId, new_id
from guilder.server_secrets import load_secrets
from tests.support.http import PASSWORD, Person, Running
from tests.support.people import People

STAFF: Final = (Role.SUPPORT, Role.OPERATOR, Role.AUDITOR)
_FUNDS: Final = 100_000
_PREFIX: Final = "matrix_"
_numbers = itertools.count(1)


class Unlikely:
    """Reads credentials that carry scopes which no real key is given, as a faulty one might."""

    def __init__(self) -> None:
        self._principals: dict[str, Principal] = {}

    def make(self, user: Mapping[str, Any], scopes: frozenset[Permission]) -> str:
        """Return a credential of a user with just these scopes."""
        key = f"{_PREFIX}{next(_numbers)}"
        self._principals[key] = Principal(
            user["id"], user["wallet_id"], None, scopes=scopes, api_key_id=new_id("api_key")
        )
        return key

    async def principal(self, credential: str, connection: HTTPConnection) -> Principal:
        if credential not in self._principals:
            raise Unauthenticated
        return self._principals[credential]


@dataclass
class World:
    """A running Guilder, and people in it.

    Args:
        own: Whose objects are asked for.
        other: Somebody with objects of the same kinds.
        third: With whom both of them deal.
        staff: One person for each role of staff, signed in with a second factor.
        by_password: Others with these roles, signed in with a password alone.
        dead: Credentials that let nobody in, by what they are.
    """

    running: Running
    client: httpx2.AsyncClient
    own: Person
    other: Person
    third: Person
    staff: dict[Role, Person]
    by_password: dict[Role, Person]
    dead: dict[str, str]
    unlikely: Unlikely
    keys: dict[frozenset[Permission], str] = field(default_factory=dict)
    objects: dict[tuple[str, str], str] = field(default_factory=dict)

    async def send(
        self, operation: str, token: str | None, *, body: Any = None, named: str = ""
    ) -> httpx2.Response:
        """Send a request to an operation; `named` takes the place of the path's parameter."""
        method, _, path = operation.partition(" ")
        before, brace, rest = path.partition("{")
        if brace:
            path = before + named + rest.partition("}")[2]
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return await self.client.request(method, path, json=body, headers=headers)

    async def key(self, scopes: frozenset[Permission]) -> str:
        """Return a key of `own` with just these scopes, a real one if there can be one."""
        if scopes not in self.keys:
            is_real = scopes and scopes <= GRANTABLE
            self.keys[scopes] = (
                (await api_key(self.running, self.own, scopes)).text
                if is_real
                else self.unlikely.make(self.own.user, scopes)
            )
        return self.keys[scopes]

    async def somebody(self) -> Person:
        """Register somebody with money."""
        return await funded(self.running, self.client)


async def make_world(running: Running, client: httpx2.AsyncClient) -> World:
    """Return people of every kind."""
    unlikely = Unlikely()
    running.app.state.authenticator.add_prefix(_PREFIX, unlikely)
    own, other, third = [await funded(running, client) for _ in range(3)]
    staff = {role: await staff_of(running, client, role) for role in STAFF}
    by_password = {
        role: await signed_in(client, (await staff_of(running, client, role)).user)
        for role in STAFF
    }
    dead = await _dead(running, client)
    return World(running, client, own, other, third, staff, by_password, dead, unlikely)


async def registered(client: httpx2.AsyncClient) -> Person:
    """Register somebody and sign them in."""
    email = f"person-{next(_numbers)}-{secrets.token_hex(4)}@example.com"
    body = {"name": "Somebody", "email": email, "password": PASSWORD}
    user = (await client.post("/v1/register", json=body)).raise_for_status().json()
    return await signed_in(client, user)


async def signed_in(client: httpx2.AsyncClient, user: dict[str, Any]) -> Person:
    """Sign somebody in once more."""
    body = {"email": user["email"], "password": PASSWORD}
    answer = (await client.post("/v1/login", json=body)).raise_for_status().json()
    return Person(client, user, answer["access_token"])


async def funded(running: Running, client: httpx2.AsyncClient) -> Person:
    """Register somebody with money."""
    person, state = await registered(client), running.app.state
    people = People(
        storage=state.storage,
        clock=utc_now,  # type: ignore[arg-type]
        journal=state.journal,
        identity=state.identity,
        wallets=state.wallets,
        transfers=state.transfers,
    )
    await people.fund(await stored(running, person), _FUNDS)
    return person


async def stored(running: Running, person: Person) -> User:
    """Return somebody's stored record."""
    user = await running.app.state.storage.documents(User).get(person.user["id"])
    assert isinstance(user, User)
    return user


def principal_of(person: Person) -> Principal:
    """Return what speaks for somebody who has signed in."""
    user = person.user
    return Principal(user["id"], user["wallet_id"], SessionId(new_id("session")))


async def api_key(running: Running, person: Person, scopes: frozenset[Permission]) -> Shown:
    """Make somebody an API key."""
    wanted = Wanted(
        name="Matrix",
        scopes=tuple(scopes),
        limits=UsageLimits(),
        addresses=(),
        expires_at=None,
        idempotency_key=None,
    )
    shown: Shown = await running.app.state.api_keys.create(principal_of(person), wanted)
    return shown


async def given_role(running: Running, user_id: str, role: Role) -> None:
    """Have somebody's role set, as the command line does, and this process know of it."""
    state = running.app.state
    changes = RoleChanges(state.storage, clock=state.clock, audit=state.audit)
    user = await changes.set(UserId(user_id), role, actor="system")
    state.identity.rights_changed(user)


async def staff_of(running: Running, client: httpx2.AsyncClient, role: Role) -> Person:
    """Register somebody who works for the deployment, and sign them in as that takes."""
    person = await registered(client)
    await given_role(running, person.user["id"], role)
    return await signed_in_with_factor(running, person)


async def signed_in_with_factor(running: Running, person: Person) -> Person:
    """Open a session as if a second factor had been given; step-ups still ask for the password."""
    user = await stored(running, person)
    opened = await running.app.state.identity.sessions.open(user, has_both_factors=True)
    return Person(person.client, person.user, opened.access_token)


async def _dead(running: Running, client: httpx2.AsyncClient) -> dict[str, str]:
    """Return credentials that were good once, and some that never were."""
    ended, changed = await registered(client), await registered(client)
    again = {"email": ended.user["email"], "password": PASSWORD}
    sign_in = (await client.post("/v1/login", json=again)).json()
    await client.post("/v1/auth/logout", json={"refresh_token": sign_in["refresh_token"]})
    deleted = await api_key(running, changed, GRANTABLE)
    by = principal_of(changed)
    await running.app.state.api_keys.revoke(by, deleted.key.id)
    await given_role(running, changed.user["id"], Role.SUPPORT)
    config = identity_config(running.settings, load_secrets(running.settings))

    def long_ago() -> datetime:
        return utc_now() - timedelta(days=2)

    tokens = AccessTokens(
        keys=config.signing_keys,
        issuer=config.issuer,
        audience=config.audience,
        ttl_s=config.access_ttl_s,
        clock=long_ago,
        cache_size=1,
    )
    user = ended.user
    expired = Principal(user["id"], user["wallet_id"], SessionId(new_id("session")))
    return {
        "a garbled token": "garbled",
        "an expired token": tokens.issue(expired),
        "a token of a session that was ended": sign_in["access_token"],
        "a token from before a change of role": changed.token,
        "a deleted API key": deleted.text,
    }
