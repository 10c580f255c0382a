"""Passkeys of which there may be two: how often a device says it was used."""

import asyncio

import pytest

from guilder.identity.factors.passkey_errors import PasskeyRefused
from guilder.identity.service import IdentityService
from guilder.storage.base import Storage
from tests.support.identity import HandClock
from tests.support.letters import letters
from tests.support.one_user import EMAIL
from tests.support.passkey_payers import Payer, events, payer_of
from tests.support.passkeys import PRESENT, SYNCABLE, SYNCED, VERIFIED, SoftDevice


@pytest.fixture
async def payer(identity: IdentityService) -> Payer:
    return await payer_of(identity, EMAIL)


async def test_a_count_that_goes_back_is_refused_recorded_and_shown(
    payer: Payer, storage: Storage
) -> None:
    await payer.add()
    await payer.come_back(count=9)
    for count in (9, 8, 0):
        with pytest.raises(PasskeyRefused) as refusal:
            await payer.come_back(count=count)
        assert refusal.value.because == "count"
    (passkey,) = await payer.identity.passkeys.listed(payer.principal.user_id)
    assert passkey.copy_suspected_at is not None
    found = await events(storage, "passkey.copy_suspected")
    assert sorted(each.details["shown"] for each in found) == ["0", "8", "9"]
    assert {each.outcome for each in found} == {"refused"}
    await payer.come_back(count=10)


async def test_asvs_6_3_5_the_owner_is_told_of_what_may_be_a_copy_and_not_at_every_try(
    payer: Payer, storage: Storage, clock: HandClock
) -> None:
    async def told() -> int:
        templates = [each.template for each in await letters(storage, EMAIL)]
        return templates.count("passkey_copy_suspected")

    await payer.add()
    await payer.come_back(count=9)
    for hours, expected in ((0, 1), (1, 1), (23, 1), (24, 2)):
        clock.move(hours=hours)
        with pytest.raises(PasskeyRefused):
            await payer.come_back(count=3)
        assert await told() == expected
    clock.move(hours=24)
    results = await asyncio.gather(
        *(payer.come_back(count=3) for _ in range(8)), return_exceptions=True
    )
    assert all(isinstance(each, PasskeyRefused) for each in results), results
    assert await told() == 3


async def test_nobody_makes_a_passkey_look_copied_without_its_key(payer: Payer) -> None:
    """The count is judged after the signature: strangers know the credential's id too."""
    await payer.add()
    await payer.come_back(count=9)
    with pytest.raises(PasskeyRefused) as refusal:
        await payer.come_back(count=1, response={"signature": b"x"})
    assert refusal.value.because == "answer"
    (passkey,) = await payer.identity.passkeys.listed(payer.principal.user_id)
    assert passkey.copy_suspected_at is None


async def test_a_passkey_that_does_not_count_works_for_ever(payer: Payer) -> None:
    synced = PRESENT | VERIFIED | SYNCABLE | SYNCED
    device = SoftDevice(counts=False, flags=synced)
    added = await payer.add(device)
    assert added.passkey.is_synced
    for _ in range(3):
        await payer.come_back(device)
    with pytest.raises(PasskeyRefused):
        # It said that it may be synced, and that never changes.
        await payer.come_back(device, flags=PRESENT | VERIFIED)
