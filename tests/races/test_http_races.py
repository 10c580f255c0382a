"""The same over HTTP: 64 at once, at one Guilder and at four behind a load balancer."""

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from guilder.kernel.clock import utc_now
from tests.support.deployment import Deployment, Everywhere, answers
from tests.support.racer import PROCESSES
from tests.support.races import CROWD, ROUNDS_OVER_HTTP

Json = dict[str, Any]
Told = list[tuple[str, bytes]]


def order(payee: Everywhere, amount: int, currency: str = "USD") -> Json:
    return {"amount": amount, "currency": currency, "to": {"wallet_id": payee.wallet_id}}


async def pair(deployment: Deployment, amount: int, asset: str = "USD") -> list[Everywhere]:
    """Register a payer with money and a payee without."""
    return [await deployment.person(amount, asset), await deployment.person()]


async def race(call: Callable[[int], Awaitable[httpx2.Response]]) -> Told:
    return await answers(map(call, range(CROWD)))


def counted(told: Told) -> Counter[str]:
    return Counter(said for said, _ in told)


async def balance(deployment: Deployment) -> None:
    payer, payee = await pair(deployment, 100)
    body = order(payee, 3)
    told = await race(lambda n: payer.at(n).post("/v1/wallet/transfer", body))
    assert counted(told) == {"201": 33, "insufficient_funds": 31}
    assert [await each.balances() for each in (payer, payee)] == [(1, 0), (99, 0)]


async def one_key_is_one_effect_and_one_answer(deployment: Deployment) -> None:
    payer, payee = await pair(deployment, 100)
    body = order(payee, 10)
    for path, left in (
        ("/v1/wallet/transfer", (90, 0)),
        ("/v1/transfers", (80, 0)),
        ("/v1/holds", (80, 10)),
    ):
        told = await race(lambda n, to=path: payer.at(n).post(to, body, key=to))  # type: ignore[misc]
        assert counted(told) == {"201": CROWD}
        assert len({content for _, content in told}) == 1
        assert await payer.balances() == left


async def one_key_for_two_bodies_goes_to_one_of_them(deployment: Deployment) -> None:
    payer, payee = await pair(deployment, 100)
    bodies = [order(payee, 10), order(payee, 11)]
    told = await race(lambda n: payer.at(n // 2).post("/v1/transfers", bodies[n % 2], key="one"))
    assert counted(told) == {"201": 32, "idempotency_key_reused": 32}
    winner = 0 if told[0][0] == "201" else 1
    assert {said for said, _ in told[winner::2]} == {"201"}
    late = await payer.at(0).post("/v1/transfers", bodies[1 - winner], key="one")
    assert (late.status_code, late.json()["code"]) == (422, "idempotency_key_reused")
    assert await payer.balances() == (90 - winner, 0)


async def daily_limit_of_transfers_and_holds_together(deployment: Deployment) -> None:
    day = utc_now().date()
    payer, payee = await pair(deployment, 1_000, "JPY")
    paths, body = ("/v1/wallet/transfer", "/v1/holds"), order(payee, 1, "JPY")
    told = await race(lambda n: payer.at(n // 2).post(paths[n % 2], body))
    if utc_now().date() == day:  # Else the limit has begun anew.
        assert counted(told) == {"201": 30, "limit_exceeded": 34}
        posted, held = await payer.balances("JPY")
        assert 1_000 - posted + held == 30


async def hold_is_captured_to_its_last_unit_or_released(deployment: Deployment) -> None:
    payer, payee = await pair(deployment, 100)
    made = await payer.at(0).post("/v1/holds", order(payee, 100))
    path = f"/v1/holds/{made.json()['hold_id']}"
    part = {"amount": 3, "keep_rest": True}
    told = await race(lambda n: payee.at(n).post(f"{path}/capture", part))
    assert counted(told) == {"201": 33, "capture_exceeds_hold": 31}
    assert await payer.balances() == (1, 1)
    acts = ("capture", "release")
    said = counted(await race(lambda n: payee.at(n // 2).post(f"{path}/{acts[n % 2]}", {})))
    # A release is the same one, whoever asks for it; each capture is another.
    assert said in ({"201": 1, "hold_settled": 63}, {"200": 32, "hold_settled": 32})
    assert await payer.balances() == (0 if said["201"] else 1, 0)


async def remainder_of_a_reversal(deployment: Deployment) -> None:
    payer, payee = await pair(deployment, 100)
    # Only the original limits what comes back: the payee has plenty.
    patron = await deployment.person(1_000)
    (await patron.at(0).post("/v1/transfers", order(payee, 1_000))).raise_for_status()
    sale = await payer.at(0).post("/v1/transfers", order(payee, 50))
    path = f"/v1/transfers/{sale.json()['transaction_id']}/reversals"
    told = await race(lambda n: payee.at(n).post(path, {"amount": 3}))
    assert counted(told) == {"201": 16, "reversal_exceeds_original": 48}
    assert [await each.balances() for each in (payer, payee)] == [(98, 0), (1_002, 0)]


async def asked(payee: Everywhere) -> str:
    """Ask anybody for 10; return the path to pay it."""
    body = {"amount": 10, "currency": "USD"}
    made = (await payee.at(0).post("/v1/payment-requests", body)).raise_for_status()
    return f"/v1/payment-requests/{made.json()['payment_request_id']}/pay"


async def payment_request_is_paid_once(deployment: Deployment) -> None:
    people = [*await pair(deployment, 100), await deployment.person(100)]
    payer, payee, other = people
    path = await asked(payee)
    told = await race(lambda n: (payer, other)[n % 2].at(n // 2).post(path, None))
    assert counted(told) == {"201": 1, "payment_request_ended": 63}
    left = [(await each.balances())[0] for each in people]
    assert left in ([90, 10, 100], [100, 10, 90])


async def payment_request_is_paid_once_under_one_key(deployment: Deployment) -> None:
    payer, payee = await pair(deployment, 100)
    path = await asked(payee)
    told = await race(lambda n: payer.at(n).post(path, None, key="one"))
    assert counted(told) == {"201": CROWD}
    assert len({content for _, content in told}) == 1
    assert [await each.balances() for each in (payer, payee)] == [(90, 0), (10, 0)]


async def refresh_token_has_one_successor(deployment: Deployment) -> None:
    somebody = await deployment.person()
    path, first = "/v1/auth/refresh", {"refresh_token": somebody.session["refresh_token"]}
    told = await race(lambda n: somebody.at(n).client.post(path, json=first))
    assert counted(told) == {"200": CROWD}
    (second,) = {
        httpx2.Response(200, content=content).json()["refresh_token"] for _, content in told
    }
    assert second != first["refresh_token"]
    again = await somebody.at(1).client.post(path, json={"refresh_token": second})
    assert again.status_code == 200


RACES = (
    balance,
    one_key_is_one_effect_and_one_answer,
    one_key_for_two_bodies_goes_to_one_of_them,
    daily_limit_of_transfers_and_holds_together,
    hold_is_captured_to_its_last_unit_or_released,
    remainder_of_a_reversal,
    payment_request_is_paid_once,
    payment_request_is_paid_once_under_one_key,
    refresh_token_has_one_successor,
)


async def test_asvs_15_4_1_sixty_four_at_once(
    deployment: Deployment, subtests: pytest.Subtests
) -> None:
    """One test for all, so that the processes are started once."""
    for one_round, processes in itertools.product(RACES, (1, PROCESSES)):
        with subtests.test(one_round.__name__, processes=processes):
            for _ in range(ROUNDS_OVER_HTTP):
                await one_round(deployment.among(processes))
