"""Closing an account: the money decides, then whoever stands behind it is erased."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from guilder.audit.trail import Search
from guilder.audit.verify import verify as verify_audit
from guilder.identity.erasure import CLOSED_NAME
from guilder.identity.errors import LinkInvalid
from guilder.identity.models import Session, User
from guilder.identity.recovery import PASSWORD_RESET
from guilder.identity.user_changes import UserChanges
from guilder.kernel.clock import utc_now
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import UserId
from guilder.ledger.verify import verify
from guilder.notifications.models import Message
from guilder.payments.models import Payment
from guilder.privacy.closing import Closer
from guilder.privacy.holdings import HOLDINGS, AtClosing
from guilder.privacy.models import Closing, ClosingState
from guilder.privacy.reader import documents_of
from tests.support.closings import PATH, is_untouched, stored_text, subject
from tests.support.holdings import mark, seed
from tests.support.http import PASSWORD, Person, Running
from tests.support.late_money import balance, fund
from tests.support.spenders import code_of, order
from tests.support.step_ups import post_proved


async def test_everything_personal_is_erased(guilder: Running) -> None:
    state = guilder.app.state
    person = await guilder.person()
    seeded = await seed(
        state.storage,
        state.vault,
        subject(person),
        "closed",
        without=frozenset({"account_closing"}),
    )
    before = await stored_text(state.storage)
    assert person.user["id"] in before
    await state.closer.close(UserId(person.user["id"]))
    after = await stored_text(state.storage)
    for holding in HOLDINGS:
        found = [each async for each in documents_of(state.storage, holding, subject(person))]
        if holding.at_closing is AtClosing.ERASED:
            assert found == [], holding.section
        elif holding.section in seeded:
            assert seeded[holding.section].id in {each.id for each in found}
    for section, field in (("payment_requests", "payee_name"), ("api_keys", "name")):
        holding = next(each for each in HOLDINGS if each.section == section)
        assert mark("closed", holding, field) in before
        assert mark("closed", holding, field) not in after
    user = await state.storage.documents(User).get(person.user["id"])
    assert (user.name, user.email, user.email_key, user.password_hash) == (
        CLOSED_NAME,
        None,
        None,
        "",
    )


async def test_asvs_7_4_2_nobody_gets_in_any_more_and_the_address_is_free(guilder: Running) -> None:
    person = await guilder.person()
    credentials = {"email": person.user["email"], "password": PASSWORD}
    refresh = (await guilder.client.post("/v1/login", json=credentials)).json()["refresh_token"]
    assert (await post_proved(person, PATH)).status_code == 200
    assert code_of(await person.get("/v1/users/me")) == (401, "unauthenticated")
    refused = await guilder.client.post("/v1/auth/refresh", json={"refresh_token": refresh})
    assert code_of(refused) == (401, "refresh_token_invalid")
    refused = await guilder.client.post("/v1/login", json=credentials)
    assert code_of(refused) == (401, "invalid_credentials")
    again = await guilder.client.post("/v1/register", json={"name": "New", **credentials})
    assert again.json()["id"] != person.user["id"]
    signed_in = await guilder.client.post("/v1/login", json=credentials)
    assert signed_in.json()["user"]["id"] == again.json()["id"]


async def test_the_books_stay_and_show_a_closed_account(guilder: Running) -> None:
    state = guilder.app.state
    person, other = await guilder.person(), await guilder.person()
    await fund(guilder, person, 40)
    sent = (await person.post("/v1/transfers", order(other, 40))).json()
    assert (await post_proved(person, PATH)).status_code == 200
    line = (await other.get(f"/v1/transactions/{sent['transaction_id']}")).json()
    assert line["counterparty"] == {"wallet_id": person.user["wallet_id"], "name": CLOSED_NAME}
    refused = await other.post("/v1/transfers", order(person, 1))
    assert code_of(refused) == (423, "account_closed") or refused.status_code == 409
    by_address = {"amount": 1, "currency": "USD", "to": {"email": person.user["email"]}}
    refused = await other.post("/v1/transfers", by_address)
    assert code_of(refused) == (404, "recipient_not_found")
    assert (await verify(state.journal.book)).ok
    await state.audit_sealer.step()
    assert (await verify_audit(state.storage)).ok


async def test_the_old_address_is_told_and_the_record_keeps_ids(guilder: Running) -> None:
    state = guilder.app.state
    person = await guilder.person()
    assert (await post_proved(person, PATH)).status_code == 200
    page = await state.storage.documents(Message).page({}, limit=1000)
    assert {each.user_id for each in page if each.template == "account_closed"} == {None}
    async with asyncio.timeout(10):
        while "Your account is closed" not in await _told(state, person):  # noqa: ASYNC110 - stored
            await asyncio.sleep(0.02)
    found = await state.audit.search(_search(person.user["id"]))
    assert {"user.registered", "account.closed"} <= {each.event.action for each in found}


async def _told(state: Any, person: Person) -> set[str]:
    """Return the subjects of what somebody was sent."""
    letters = await state.mailbox.letters()
    return {each.subject for each in letters if each.to == person.user["email"]}


def _search(user_id: str) -> Search:
    return Search(subject=user_id)


async def _nothing(*_: Any, **__: Any) -> None:
    pass


async def test_plans_end(guilder: Running) -> None:
    person, other = await guilder.person(), await guilder.person()
    asked = (await person.post("/v1/payment-requests", {"amount": 5, "currency": "USD"})).json()
    body = {"amount": 5, "currency": "USD", "from": {"wallet_id": person.user["wallet_id"]}}
    of_me = await other.post("/v1/payment-requests", body)
    later = (utc_now() + timedelta(days=2)).isoformat()
    plan = await person.post("/v1/schedules", order(other, 5, start_at=later))
    assert plan.status_code == 201, plan.text
    assert (await post_proved(person, PATH)).status_code == 200
    shown = (await other.get(f"/v1/payment-requests/{asked['payment_request_id']}")).json()
    assert (shown["status"], json.dumps(shown).count(CLOSED_NAME)) == ("cancelled", 1)
    if of_me.status_code == 201:
        path = f"/v1/payment-requests/{of_me.json()['payment_request_id']}"
        assert (await other.get(path)).json()["status"] == "declined"


class TestCutOff:
    """A process that dies in the middle: asked again or not, it is completed."""

    @pytest.mark.parametrize("at", ["_close_wallet", "end_plans", "_erase_user", "erase"])
    async def test_it_is_completed_by_the_sweep(
        self, guilder: Running, at: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        state = guilder.app.state
        closer: Closer = state.closer
        person = await guilder.person()
        where = closer if hasattr(closer, at) else closer._leftovers
        with monkeypatch.context() as patch:
            patch.setattr(where, at, _dies)
            with pytest.raises(ConnectionAbortedError):
                await closer.close(UserId(person.user["id"]))
        closings = state.storage.documents(Closing)
        closing = await closings.get(person.user["id"])
        assert closing is not None
        await closings.replace(msgspec.structs.replace(closing, due_at=utc_now()))
        await closer.complete_due()
        closing = await closings.get(person.user["id"])
        assert closing is not None
        assert closing.state is ClosingState.CLOSED
        user = await state.storage.documents(User).get(person.user["id"])
        assert user is not None
        assert (user.name, user.closed_at) == (CLOSED_NAME, closing.closed_at)
        sessions = next(each for each in HOLDINGS if each.model is Session)
        found = [each async for each in documents_of(state.storage, sessions, subject(person))]
        assert found == []

    async def test_one_that_has_met_money_is_taken_back(self, guilder: Running) -> None:
        state = guilder.app.state
        person = await guilder.person()
        now, closings = utc_now(), state.storage.documents(Closing)
        await closings.insert(
            Closing(
                id=person.user["id"],
                wallet_id=person.user["wallet_id"],
                was_frozen=False,
                due_at=now,
                created_at=now,
                updated_at=now,
            )
        )
        await fund(guilder, person, 5)
        await state.closer.complete_due()
        assert await is_untouched(guilder, person)
        assert await balance(person) == 5


async def _dies(*_: Any, **__: Any) -> None:
    raise ConnectionAbortedError


async def test_what_comes_late_is_erased_later(guilder: Running) -> None:
    state = guilder.app.state
    person = await guilder.person()
    assert (await post_proved(person, PATH)).status_code == 200
    closings = state.storage.documents(Closing)
    closing = await closings.get(person.user["id"])
    assert closing is not None
    assert closing.due_at is not None
    assert closing.due_at - closing.closed_at > timedelta(seconds=guilder.settings.access_ttl_s)
    late = await seed(
        state.storage,
        state.vault,
        subject(person),
        "late",
        without=frozenset(
            each.section
            for each in HOLDINGS
            if each.at_closing is AtClosing.KEPT or each.section == "payment_requests"
        ),
    )
    assert late
    long_ago = closing.closed_at - timedelta(days=1)
    await closings.replace(msgspec.structs.replace(closing, closed_at=long_ago, due_at=utc_now()))
    await state.closer.complete_due()
    closing = await closings.get(person.user["id"])
    assert closing is not None
    assert closing.due_at is None
    for holding in HOLDINGS:
        if holding.at_closing is AtClosing.ERASED:
            found = [each async for each in documents_of(state.storage, holding, subject(person))]
            assert found == [], holding.section
    assert "mark-late-api_keys-name" not in await stored_text(state.storage)


async def test_nothing_brings_a_closed_account_back(guilder: Running) -> None:
    """Requests that were under way, and links that were sent before."""
    state = guilder.app.state
    person = await guilder.person()
    user_id = UserId(person.user["id"])
    link = await state.identity.links.issue(purpose=PASSWORD_RESET, subject=user_id, ttl_s=600)
    await state.closer.close(user_id)
    with pytest.raises(LinkInvalid):
        await state.identity.links.redeem(purpose=PASSWORD_RESET, token=link)
    changes = UserChanges(state.storage, clock=utc_now)
    with pytest.raises(NotFound):
        await changes.change(user_id, _renamed, also=_nothing)
    user = await state.storage.documents(User).get(user_id)
    assert user.name == CLOSED_NAME


def _renamed(user: User) -> User:
    return msgspec.structs.replace(user, name="Somebody")


async def test_closed_at_once_it_is_closed_once(guilder: Running) -> None:
    state = guilder.app.state
    person = await guilder.person()
    user_id = UserId(person.user["id"])
    times = await asyncio.gather(*(state.closer.close(user_id) for _ in range(8)))
    assert len(set(times)) == 1
    found = await state.audit.search(_search(user_id))
    assert [each.event.action for each in found].count("account.closed") == 1


async def test_the_payments_of_a_closed_account_are_kept(guilder: Running) -> None:
    kept = next(each for each in HOLDINGS if each.model is Payment)
    assert kept.at_closing is AtClosing.KEPT
