"""Step-up: an approval is for what was approved, by whom, where, and once: dynamic linking."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from guilder.identity.authentication import Principal
from guilder.identity.challenges import Given
from guilder.identity.errors import PasswordChecksBusy
from guilder.identity.factors.errors import (
    ChallengeEnded,
    FactorWrong,
    StepUpRefused,
    StepUpRequired,
)
from guilder.identity.factors.rules import Method, StepUpPolicy
from guilder.identity.service import IdentityService
from guilder.storage.base import Storage
from tests.support.factors import answered, asked, challenge_of, principal_of, with_app
from tests.support.identity import PASSWORD, PATIENT, HandClock, application, identity_service

PAYER = "payer@example.com"
BINDING: Mapping[str, str | int] = {
    "amount_minor": 50_000,
    "currency": "USD",
    "payee": "wallet_a",
    "fee_minor": 0,
}


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    async with identity_service(storage, clock, throttles=PATIENT) as service:
        await service.register(application(email=PAYER))
        clock.move(seconds=1)
        yield service


@pytest.fixture
async def payer(identity: IdentityService) -> Principal:
    return await principal_of(identity, PAYER)


async def required(
    identity: IdentityService,
    payer: Principal,
    binding: Mapping[str, str | int] = BINDING,
    operation: str = "transfer",
) -> str:
    """Ask without an approval; return the challenge that is asked for."""
    with pytest.raises(StepUpRequired) as error:
        await identity.step_up.require(payer, operation=operation, binding=binding, given=None)
    return challenge_of(error.value)


async def prove(
    identity: IdentityService, payer: Principal, challenge_id: str, given: Given | None = None
) -> None:
    await identity.challenges.prove(
        challenge_id,
        given or Given(method=Method.PASSWORD, code=PASSWORD),
        by=payer,
        client=None,
    )


async def use(
    identity: IdentityService,
    payer: Principal,
    approval: str,
    *,
    operation: str = "transfer",
    key: str | None = "key",
    **changes: str | int,
) -> None:
    await identity.step_up.require(
        payer, operation=operation, binding={**BINDING, **changes}, given=approval, key=key
    )


async def approved(identity: IdentityService, payer: Principal) -> str:
    challenge = await required(identity, payer)
    await prove(identity, payer, challenge)
    return challenge


@pytest.mark.parametrize(
    ("operation", "changes"),
    [
        ("transfer", {"amount_minor": 50_001}),
        ("transfer", {"currency": "EUR"}),
        ("transfer", {"payee": "wallet_b"}),
        ("transfer", {"fee_minor": 1}),
        ("transfer", {"more": "x"}),
        ("payout", {}),
    ],
    ids=lambda each: str(sorted(each)) if isinstance(each, dict) else each,
)
async def test_asvs_7_5_3_anything_else_is_refused_and_ends_the_approval(
    identity: IdentityService, payer: Principal, operation: str, changes: dict[str, Any]
) -> None:
    approval = await approved(identity, payer)
    with pytest.raises(StepUpRefused):
        await use(identity, payer, approval, operation=operation, **changes)
    with pytest.raises(StepUpRefused):
        await use(identity, payer, approval)


async def test_an_approval_is_used_once_and_its_request_may_come_again(
    identity: IdentityService, payer: Principal, clock: HandClock
) -> None:
    approval = await approved(identity, payer)
    await use(identity, payer, approval, key="one")
    clock.move(minutes=30)
    await use(identity, payer, approval, key="one")
    for key in ("two", None):
        with pytest.raises(StepUpRefused):
            await use(identity, payer, approval, key=key)
    with pytest.raises(StepUpRefused):
        await use(identity, payer, approval, key="one", amount_minor=1)
    unkeyed = await approved(identity, payer)
    await use(identity, payer, unkeyed, key=None)
    with pytest.raises(StepUpRefused):
        await use(identity, payer, unkeyed, key=None)


async def test_asvs_2_3_1_what_was_not_proved_approves_nothing(
    identity: IdentityService, payer: Principal, clock: HandClock
) -> None:
    challenge = await required(identity, payer)
    with pytest.raises(StepUpRefused):
        await use(identity, payer, challenge)
    for nonsense in ("", "none of ours", "challenge_01h455vb4pex5vsknk084sn02q", "é" * 3000):
        with pytest.raises(StepUpRefused):
            await use(identity, payer, nonsense)
    old = await approved(identity, payer)
    clock.move(minutes=5)
    with pytest.raises(StepUpRefused):
        await use(identity, payer, old)


async def test_an_approval_is_for_its_session(identity: IdentityService, payer: Principal) -> None:
    elsewhere = await principal_of(identity, PAYER)
    challenge = await required(identity, payer)
    with pytest.raises(ChallengeEnded):
        await prove(identity, elsewhere, challenge)
    await prove(identity, payer, challenge)
    with pytest.raises(StepUpRefused):
        await use(identity, elsewhere, challenge)
    await identity.register(application(email="thief@example.com"))
    thief = await principal_of(identity, "thief@example.com")
    with pytest.raises(StepUpRefused):
        await use(identity, thief, challenge)
    await use(identity, payer, challenge)


async def test_a_proved_sign_in_approves_nothing(
    identity: IdentityService, payer: Principal, clock: HandClock
) -> None:
    app = await with_app(identity, payer, clock)
    sign_in = await asked(identity, PAYER)
    await answered(identity, sign_in, app.given())
    with pytest.raises(StepUpRefused):
        await use(identity, payer, sign_in)


async def test_sixty_four_at_once_use_an_approval_once(
    identity: IdentityService, payer: Principal
) -> None:
    approval = await approved(identity, payer)
    results = await asyncio.gather(
        *(use(identity, payer, approval, key=f"key {number}") for number in range(64)),
        return_exceptions=True,
    )
    assert results.count(None) == 1
    assert all(each is None or isinstance(each, StepUpRefused) for each in results), results


async def test_five_failures_block_a_challenge_however_many_come_at_once(
    identity: IdentityService, payer: Principal
) -> None:
    challenge = await required(identity, payer)
    wrong = Given(method=Method.PASSWORD, code="something else entirely")
    results = await asyncio.gather(
        *(prove(identity, payer, challenge, wrong) for _ in range(24)), return_exceptions=True
    )
    looked_at = [each for each in results if isinstance(each, FactorWrong)]
    rest = [each for each in results if not isinstance(each, FactorWrong)]
    assert len(looked_at) <= 5
    assert all(isinstance(each, ChallengeEnded | PasswordChecksBusy) for each in rest), rest
    for _ in range(5 - len(looked_at)):
        with pytest.raises((FactorWrong, ChallengeEnded)):
            await prove(identity, payer, challenge, wrong)
    with pytest.raises(ChallengeEnded):
        await prove(identity, payer, challenge)


async def test_who_has_a_second_factor_must_use_it(
    identity: IdentityService, payer: Principal, clock: HandClock
) -> None:
    app = await with_app(identity, payer, clock)
    challenge = await required(identity, payer)
    with pytest.raises(FactorWrong):
        await prove(identity, payer, challenge)
    await prove(identity, payer, challenge, app.given())
    await use(identity, payer, challenge)


async def test_a_challenge_of_before_a_change_of_factors_is_over(
    identity: IdentityService, payer: Principal, clock: HandClock
) -> None:
    challenge = await required(identity, payer)
    await with_app(identity, payer, clock)
    with pytest.raises(ChallengeEnded):
        await prove(identity, payer, challenge)


async def test_keys_are_not_asked(identity: IdentityService, payer: Principal) -> None:
    key = Principal(payer.user_id, payer.wallet_id, None, api_key_id="api_key_x")
    await identity.step_up.require(key, operation="transfer", binding=BINDING, given=None)


def test_the_policy_is_about_amounts_above_by_currency(identity: IdentityService) -> None:
    identity.step_up.policy = StepUpPolicy(transfer_minor={"USD": 100})
    assert not identity.step_up.asks(100, "USD")
    assert identity.step_up.asks(101, "USD")
    assert not identity.step_up.asks(10**12, "EUR")
