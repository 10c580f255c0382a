"""Challenges of passkeys: each good once, for one purpose."""

import pytest

from guilder.identity.factors.passkey_challenges import PasskeyChallenges, Purpose
from guilder.identity.factors.passkey_models import MODELS
from guilder.kernel.ids import UserId
from guilder.storage.postgres.storage import PostgresStorage
from tests.support.identity import HandClock

USER, OTHER = UserId("user_one"), UserId("user_two")


@pytest.fixture
async def challenges(postgresql_storage: PostgresStorage) -> PasskeyChallenges:
    await postgresql_storage.migrate(MODELS)
    return PasskeyChallenges(postgresql_storage, clock=HandClock())


async def test_a_challenge_is_for_one_purpose(challenges: PasskeyChallenges) -> None:
    given = await challenges.give(Purpose.REGISTER, user_id=USER)
    assert not await challenges.take(Purpose.FACTOR, given, user_id=USER)
    assert not await challenges.take(Purpose.SIGN_IN, given, user_id=USER)
    assert await challenges.take(Purpose.REGISTER, given, user_id=USER)
    assert not await challenges.take(Purpose.REGISTER, given, user_id=USER)


async def test_a_challenge_is_for_its_user_and_subject(challenges: PasskeyChallenges) -> None:
    for user_id, subject in ((OTHER, "one"), (USER, "two"), (None, "one"), (USER, "")):
        given = await challenges.give(Purpose.FACTOR, user_id=USER, subject="one")
        assert not await challenges.take(Purpose.FACTOR, given, user_id=user_id, subject=subject)
    given = await challenges.give(Purpose.FACTOR, user_id=USER, subject="one")
    assert await challenges.take(Purpose.FACTOR, given, user_id=USER, subject="one")


async def test_no_two_challenges_are_the_same(challenges: PasskeyChallenges) -> None:
    given = {await challenges.give(Purpose.SIGN_IN) for _ in range(20)}
    assert {len(each) for each in given} == {32}
    assert len(given) == 20
