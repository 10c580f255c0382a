"""Second factors under attack: guessed, used twice, used by others, and by many at once."""

import asyncio

import pytest

from guilder.audit.trail import Search
from guilder.identity.challenges import Given
from guilder.identity.errors import InvalidCredentials, TooManyAttempts
from guilder.identity.factors.errors import (
    ChallengeEnded,
    FactorWrong,
    SecondFactorRequired,
    StepUpRequired,
)
from guilder.identity.factors.rules import Method
from guilder.identity.service import IdentityService
from guilder.identity.sessions import SignIn
from guilder.kernel.errors import GuilderError
from tests.support.factors import App, answered, asked, challenge_of, principal_of, with_app, wrong
from tests.support.identity import PASSWORD, HandClock, application
from tests.support.one_user import EMAIL as VICTIM

HOME = "192.0.2.1"


@pytest.fixture
async def app(identity: IdentityService, clock: HandClock) -> App:
    return await with_app(identity, await principal_of(identity, VICTIM), clock)


async def test_asvs_6_3_1_guessing_at_codes_slows_down_and_the_owner_comes_in_from_home(
    identity: IdentityService, app: App, clock: HandClock
) -> None:
    challenge = await asked(identity, VICTIM, client=HOME)
    await answered(identity, challenge, app.given(), client=HOME)
    looked_at = 0
    for number in range(30):
        address = f"198.51.100.{number}"
        challenge = await asked(identity, VICTIM, client=address)
        try:
            await answered(identity, challenge, wrong(), client=address)
        except FactorWrong:
            looked_at += 1
        except TooManyAttempts:
            pass
    assert looked_at == 5
    # Whoever has the password slows down strangers, not the owner at home.
    challenge = await asked(identity, VICTIM, client=HOME)
    await answered(identity, challenge, app.given(), client=HOME)


async def test_asvs_6_5_1_sixty_four_at_once_with_one_code_open_one_session(
    identity: IdentityService, app: App
) -> None:
    challenges = [await asked(identity, VICTIM) for _ in range(4)]
    given = app.given()
    results = await asyncio.gather(
        *(answered(identity, challenges[number % 4], given) for number in range(64)),
        return_exceptions=True,
    )
    assert len([each for each in results if isinstance(each, SignIn)]) <= 1
    assert all(isinstance(each, SignIn | GuilderError) for each in results), results
    follow_up = await asked(identity, VICTIM)
    with pytest.raises((FactorWrong, TooManyAttempts)):
        await answered(identity, follow_up, given)


async def test_asvs_6_5_5_a_challenge_ends_with_its_fifth_failure(
    identity: IdentityService, app: App
) -> None:
    challenge = await asked(identity, VICTIM)
    for _ in range(5):
        with pytest.raises(FactorWrong):
            await answered(identity, challenge, wrong())
    with pytest.raises(ChallengeEnded):
        await answered(identity, challenge, app.given())


async def test_a_wrong_password_asks_for_no_second_factor(
    identity: IdentityService, app: App
) -> None:
    with pytest.raises(InvalidCredentials):
        await identity.login(email=VICTIM, password="something else entirely")


async def test_a_password_is_no_second_factor(identity: IdentityService, app: App) -> None:
    challenge = await asked(identity, VICTIM)
    for method in (Method.PASSWORD, Method.PASSKEY):
        with pytest.raises(FactorWrong):
            await answered(identity, challenge, Given(method=method, code=PASSWORD))


async def test_another_users_code_and_challenge_are_no_good(
    identity: IdentityService, app: App, clock: HandClock
) -> None:
    await identity.register(application(email="thief@example.com"))
    thief = await principal_of(identity, "thief@example.com")
    theirs = await with_app(identity, thief, clock)
    challenge = await asked(identity, VICTIM)
    with pytest.raises(FactorWrong):
        await answered(identity, challenge, theirs.given())
    recovery = Given(method=Method.RECOVERY_CODE, code=theirs.recovery_codes[0])
    with pytest.raises(FactorWrong):
        await answered(identity, challenge, recovery)
    # A challenge of somebody else's step-up does not exist for the thief.
    victim = identity.principal((await answered(identity, challenge, app.given())).access_token)
    with pytest.raises(StepUpRequired) as asked_for:
        await identity.step_up.require(victim, operation="test", binding={}, given=None)
    foreign = challenge_of(asked_for.value)
    for by in (thief, None):
        with pytest.raises(ChallengeEnded):
            await answered(identity, foreign, app.given(), by=by)


async def test_asvs_16_3_1_factors_leave_a_record_without_secrets(
    identity: IdentityService, app: App
) -> None:
    challenge = await asked(identity, VICTIM, client=HOME)
    with pytest.raises(FactorWrong):
        await answered(identity, challenge, wrong(), client=HOME)
    given = app.given()
    sign_in = await answered(identity, challenge, given, client=HOME)
    entries = await identity._audit.search(Search(subject=sign_in.user.id))
    actions = [each.event.action for each in entries]
    for action in ("factor.added", "second_factor.asked", "factor.refused", "factor.proved"):
        assert action in actions
    assert actions.index("factor.proved") < actions.index("factor.refused")
    text = repr([each.event for each in entries])
    assert given.code not in text
    assert app.secret not in text


async def test_the_refusal_tells_nothing_but_what_to_do(
    identity: IdentityService, app: App
) -> None:
    with pytest.raises(SecondFactorRequired) as refused:
        await identity.login(email=VICTIM, password=PASSWORD)
    challenge = refused.value.extension["challenge"]
    assert isinstance(challenge, dict)
    assert set(challenge) == {"id", "purpose", "operation", "methods", "expires_at"}
    assert challenge["methods"] == ["totp", "recovery_code"]
    assert challenge["purpose"] == "sign_in"
