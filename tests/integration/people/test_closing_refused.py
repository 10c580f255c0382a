"""Closing an account: what is in the way of it, and is told."""

import asyncio
from typing import Any

import pytest

from guilder.kernel.ids import UserId
from guilder.privacy.errors import AccountInUse
from guilder.storage.errors import StorageUnavailable
from tests.support.closings import PATH, is_untouched, refusals
from tests.support.http import Running
from tests.support.late_money import fund
from tests.support.spenders import code_of, order
from tests.support.step_ups import post_proved


async def test_money_that_stands_is_in_the_way(guilder: Running) -> None:
    person, other = await guilder.person(), await guilder.person()
    await fund(guilder, person, 100)
    assert refusals(await post_proved(person, PATH)) == {"money_left"}
    await fund(guilder, person, 7, "EUR")
    pointers = {each["pointer"] for each in (await person.post(PATH, None)).json()["errors"]}
    assert pointers == {"/balances/USD", "/balances/EUR"}
    await person.post("/v1/transfers", order(other, 7, currency="EUR"))
    (await person.post("/v1/holds", order(other, 100))).raise_for_status()
    assert refusals(await post_proved(person, PATH)) == {"money_held"}
    assert "money_expected" in refusals(await post_proved(other, PATH))
    assert await is_untouched(guilder, person)
    assert await is_untouched(guilder, other)


async def test_money_on_its_way_is_in_the_way(guilder: Running) -> None:
    person = await guilder.person()
    await fund(guilder, person, 100)
    body = {
        "amount": 100,
        "currency": "USD",
        "destination": {"type": "bank_account", "token": "bank_slow"},
    }
    made = await person.post("/v1/wallet/withdraw", body)
    assert made.status_code in (200, 201, 202), made.text
    assert refusals(await post_proved(person, PATH)) == {"payout_open"}
    body = {"amount": 5, "currency": "USD"}
    made = await person.post("/v1/wallet/add-funds", body)
    assert made.status_code in (200, 201, 202), made.text
    assert refusals(await post_proved(person, PATH)) == {"payout_open", "payment_open"}
    # Also if it was begun between the first look and the closing.
    with pytest.raises(AccountInUse):
        await guilder.app.state.closer.close(UserId(person.user["id"]))
    assert await is_untouched(guilder, person)


async def test_a_payout_that_nobody_has_written_down_yet_is_seen(guilder: Running) -> None:
    """A crash right after the transfer of a withdrawal: only the journal knows of it."""
    state = guilder.app.state
    person = await guilder.person()
    await fund(guilder, person, 100)
    body = {
        "amount": 100,
        "currency": "USD",
        "destination": {"type": "bank_account", "token": "bank_slow"},
    }
    begin, state.payouts._begin = state.payouts._begin, _nothing
    try:
        (await person.post("/v1/wallet/withdraw", body)).raise_for_status()
        assert refusals(await post_proved(person, PATH)) == {"payout_open"}
    finally:
        state.payouts._begin = begin


@pytest.mark.parametrize(("times", "status"), [(2, 409), (3, 503)])
async def test_whoever_writes_payouts_down_at_the_same_time_is_not_in_the_way(
    guilder: Running, monkeypatch: pytest.MonkeyPatch, times: int, status: int
) -> None:
    """On MongoDB the second of two writers is told to ask again."""
    person = await guilder.person()
    await fund(guilder, person, 100)
    follower, met = guilder.app.state.payouts._follower, 0
    follow = follower.follow

    async def meets_another() -> bool:
        nonlocal met
        met += asyncio.current_task() is not background
        if met <= times and asyncio.current_task() is not background:
            raise StorageUnavailable
        return bool(await follow())

    background = guilder.app.state.payouts._task._task
    monkeypatch.setattr(follower, "follow", meets_another)
    assert (await person.post(PATH, None)).status_code == status


async def test_it_asks_for_a_fresh_factor(guilder: Running) -> None:
    person = await guilder.person()
    asked = await person.post(PATH, None)
    assert code_of(asked) == (403, "step_up_required")
    assert await is_untouched(guilder, person)
    headers = person.headers | {"Step-Up": "challenge_01h455vb4pex5vsknk084sn02q"}
    refused = await guilder.client.post(PATH, headers=headers)
    assert refused.status_code == 403
    assert await is_untouched(guilder, person)


async def test_money_that_comes_in_that_moment_is_kept_or_refused(guilder: Running) -> None:
    """Either the account is closed and nothing stands there, or the money is there and usable."""
    state = guilder.app.state
    other = await guilder.person()
    await fund(guilder, other, 1_000)
    for _ in range(3):
        person = await guilder.person()
        user_id = UserId(person.user["id"])
        closing = asyncio.create_task(state.closer.close(user_id))
        sent = await other.post("/v1/transfers", order(person, 3))
        await asyncio.wait([closing])
        closed = closing.exception()
        arrived = sent.status_code == 201
        assert arrived == isinstance(closed, AccountInUse), (sent.text, closed)
        if arrived:
            assert await is_untouched(guilder, person)
            assert (await person.post("/v1/transfers", order(other, 3))).status_code == 201
        else:
            accounts = await state.journal.book.accounts_of(person.user["wallet_id"])
            assert all(each.posted == 0 and each.is_closed for each in accounts)


async def test_a_frozen_wallet_stays_frozen_when_refused(guilder: Running) -> None:
    person = await guilder.person()
    await fund(guilder, person, 5)
    path = f"/v1/wallets/{person.user['wallet_id']}"
    await person.post(path + "/freeze", None)
    assert refusals(await post_proved(person, PATH)) == {"money_left"}
    with pytest.raises(AccountInUse, match="Take out"):
        await guilder.app.state.closer.close(UserId(person.user["id"]))
    assert (await person.get(path)).json()["status"] == "frozen"


async def _nothing(*_: Any, **__: Any) -> None:
    pass
