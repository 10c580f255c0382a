"""Counters of attempts in a real database: none is lost, and strangers delay strangers only."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from guilder.identity import throttles as throttles_module
from guilder.identity.errors import InvalidCredentials, PasswordChecksBusy, TooManyAttempts
from guilder.identity.housekeeping import Housekeeping
from guilder.identity.models import MODELS, Throttle
from guilder.identity.passwords import Passwords
from guilder.identity.service import IdentityService
from guilder.identity.throttle_rules import FINAL_WAIT_S
from guilder.identity.throttles import SIGN_IN, Throttles, network_of
from guilder.kernel.errors import InvalidRequest
from guilder.storage.base import Storage
from guilder.storage.errors import VersionConflict
from tests.support.identity import PASSWORD, HandClock, application, identity_service

KEY = b"a key for tests, of 32 bytes or so"
WHO, HOME, AWAY = "account", "192.0.2.1", "198.51.100.7"
EMAIL = "payer@example.com"


@pytest.fixture
async def throttles(storage: Storage, clock: HandClock) -> Throttles:
    await storage.migrate(MODELS)
    return Throttles(storage, clock=clock, key=KEY)


async def wait_of(throttles: Throttles, **changes: str | None) -> int:
    """Attempt once; return 0, or how long to wait."""
    who: dict[str, str | None] = {"account": WHO, "address": AWAY, **changes}
    try:
        await throttles.check(SIGN_IN, account=who["account"], address=who["address"])
    except TooManyAttempts as error:
        return error.retry_after_s or 0
    return 0


async def waits_of(throttles: Throttles, times: int, **changes: str | None) -> list[int]:
    return [await wait_of(throttles, **changes) for _ in range(times)]


async def test_five_attempts_are_free_and_then_waits_double(
    throttles: Throttles, clock: HandClock
) -> None:
    assert await waits_of(throttles, 7) == [0, 0, 0, 0, 0, 1, 1]
    for wait in (1, 2, 4, 8, 16):
        clock.move(seconds=wait, milliseconds=-1)
        assert await wait_of(throttles) == 1
        clock.move(milliseconds=1)
        assert await wait_of(throttles) == 0
    assert await wait_of(throttles) == 900 - 31


async def test_sixty_four_at_once_are_counted_and_five_are_looked_at(
    throttles: Throttles, storage: Storage, clock: HandClock
) -> None:
    others = [Throttles(storage, clock=clock, key=KEY) for _ in range(3)]
    every = [throttles, *others] * 16
    waits = await asyncio.gather(*(wait_of(each, address=None) for each in every))
    assert sorted(waits) == [0] * 5 + [1] * 59
    (counter,) = await storage.documents(Throttle).page({}, limit=10)
    assert counter.tally.failures == 5


async def test_sixty_four_accounts_at_once_from_one_address(
    throttles: Throttles, storage: Storage
) -> None:
    names = [f"account {number}" for number in range(64)]
    waits = await asyncio.gather(*(wait_of(throttles, account=each) for each in names))
    assert waits.count(0) == 10


async def test_a_restart_forgets_nothing(
    throttles: Throttles, storage: Storage, clock: HandClock
) -> None:
    await waits_of(throttles, 5)
    assert await wait_of(Throttles(storage, clock=clock, key=KEY), address=HOME) == 1


async def test_success_ends_the_count_from_a_new_place(throttles: Throttles) -> None:
    await waits_of(throttles, 4)
    await throttles.check(SIGN_IN, account=WHO, address=HOME)
    await throttles.succeeded(SIGN_IN, account=WHO, address=HOME)
    assert await waits_of(throttles, 6) == [0] * 5 + [1]


async def test_a_known_place_has_a_counter_of_its_own(
    throttles: Throttles, clock: HandClock
) -> None:
    await throttles.check(SIGN_IN, account=WHO, address=HOME)
    await throttles.succeeded(SIGN_IN, account=WHO, address=HOME)
    await waits_of(throttles, 5)
    assert await wait_of(throttles) == 1
    assert await waits_of(throttles, 6, address=HOME) == [0] * 5 + [1]
    # The owner comes in, and strangers have won nothing by it.
    clock.move(seconds=1)
    await throttles.check(SIGN_IN, account=WHO, address=HOME)
    await throttles.succeeded(SIGN_IN, account=WHO, address=HOME)
    assert await waits_of(throttles, 2) == [0, 2]
    assert await wait_of(throttles, address=HOME) == 0
    clock.move(days=91)
    assert await waits_of(throttles, 1, address=HOME) == [0]


async def test_a_remembered_device_has_a_counter_of_its_own(throttles: Throttles) -> None:
    await waits_of(throttles, 5)
    for _ in range(5):
        await throttles.check(SIGN_IN, account=WHO, address=AWAY, device="device")
    with pytest.raises(TooManyAttempts):
        await throttles.check(SIGN_IN, account=WHO, address=AWAY, device="device")
    await throttles.check(SIGN_IN, account=WHO, address=AWAY, device="another")
    await throttles.succeeded(SIGN_IN, account=WHO, address=AWAY, device="device")
    await throttles.check(SIGN_IN, account=WHO, address=AWAY, device="device")


async def test_the_owner_at_home_keeps_the_run_short(
    throttles: Throttles, clock: HandClock
) -> None:
    await throttles.check(SIGN_IN, account=WHO, address=HOME)
    await throttles.succeeded(SIGN_IN, account=WHO, address=HOME)
    for _ in range(33):
        clock.move(minutes=16)
        assert await wait_of(throttles) == 0
    clock.move(days=30)
    assert await wait_of(throttles) == FINAL_WAIT_S
    await throttles.check(SIGN_IN, account=WHO, address=HOME)
    await throttles.succeeded(SIGN_IN, account=WHO, address=HOME)
    assert await wait_of(throttles) == 0


async def test_only_another_way_in_helps_in_the_end(throttles: Throttles, clock: HandClock) -> None:
    for _ in range(33):
        clock.move(minutes=16)
        assert await wait_of(throttles) == 0
    clock.move(days=300)
    assert await wait_of(throttles) == FINAL_WAIT_S
    await throttles.clear(SIGN_IN, "totp", account=WHO)
    assert await waits_of(throttles, 6, address=HOME) == [0] * 5 + [1]


async def test_an_attempt_that_was_not_looked_at_is_taken_back(throttles: Throttles) -> None:
    for _ in range(12):
        await throttles.check(SIGN_IN, account=WHO, address=AWAY)
        await throttles.taken_back(SIGN_IN, account=WHO, address=AWAY)
    assert await waits_of(throttles, 6) == [0] * 5 + [1]


async def test_a_failure_counts_once(throttles: Throttles) -> None:
    for _ in range(5):
        await throttles.check(SIGN_IN, account=WHO, address=AWAY)
        await throttles.failed(SIGN_IN, account=WHO, address=AWAY)
    assert await wait_of(throttles) == 1


async def test_actions_are_counted_apart_and_known_apart(throttles: Throttles) -> None:
    await throttles.check(SIGN_IN, account=WHO, address=AWAY)
    await throttles.succeeded(SIGN_IN, account=WHO, address=AWAY)
    # A thief with the password, in two places: they share what strangers have.
    for address in (AWAY, HOME, AWAY, HOME, AWAY):
        await throttles.check("totp", account=WHO, address=address)
    for address in (AWAY, HOME):
        with pytest.raises(TooManyAttempts):
            await throttles.check("totp", account=WHO, address=address)


async def test_what_is_stored_names_nobody(throttles: Throttles, storage: Storage) -> None:
    await throttles.check(SIGN_IN, account=WHO, address=AWAY)
    await throttles.succeeded(SIGN_IN, account=WHO, address=AWAY)
    stored = repr(await storage.documents(Throttle).page({}, limit=10))
    assert AWAY not in stored
    assert f"'{WHO}" not in stored


async def test_an_office_is_told_from_a_thief_by_those_who_succeed(throttles: Throttles) -> None:
    for number in range(60):
        who = f"colleague {number}"
        if number % 2:
            assert await wait_of(throttles, account=who) == 0  # A slip of the finger.
        assert await wait_of(throttles, account=who) == 0
        await throttles.succeeded(SIGN_IN, account=who, address=AWAY)


async def test_addresses_need_not_be_counted(storage: Storage, clock: HandClock) -> None:
    await storage.migrate(MODELS)
    throttles = Throttles(storage, clock=clock, key=KEY, counts_addresses=False)
    waits = [await wait_of(throttles, account=f"account {number}") for number in range(12)]
    assert waits == [0] * 12


async def test_asvs_16_5_3_whoever_loses_every_race_comes_again(
    throttles: Throttles, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(*_: object) -> None:
        raise VersionConflict

    monkeypatch.setattr(throttles_module, "_put", lose)
    assert await wait_of(throttles) == 1
    await throttles.succeeded(SIGN_IN, account=WHO, address=AWAY)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("2001:db8:0:1::/64", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
    ],
)
def test_a_visitor_is_what_cannot_be_changed(address: str, network: str) -> None:
    assert network_of(address) == network


async def test_housekeeping_removes_old_counters(
    throttles: Throttles, storage: Storage, clock: HandClock
) -> None:
    await waits_of(throttles, 5)
    await throttles.check(SIGN_IN, account="another", address=HOME)
    keep = Housekeeping(storage=storage, clock=clock)
    clock.move(days=29)
    await keep.sweep()
    assert len(await storage.documents(Throttle).page({}, limit=10)) == 2
    clock.move(days=2)
    await keep.sweep()
    assert await storage.documents(Throttle).page({}, limit=10) == []


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    async with identity_service(storage, clock) as service:
        await service.register(application(email=EMAIL))
        await service.login(email=EMAIL, password=PASSWORD, client=HOME)
        yield service


async def guesses(identity: IdentityService, email: str, times: int) -> list[type[Exception]]:
    answers: list[type[Exception]] = []
    for _ in range(times):
        with pytest.raises((InvalidCredentials, TooManyAttempts)) as caught:
            await identity.login(email=email, password="none of anybody's", client=AWAY)
        answers.append(caught.type)
    return answers


async def test_no_hash_is_computed_for_whoever_has_to_wait(
    identity: IdentityService, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await guesses(identity, EMAIL, 5) == [InvalidCredentials] * 5
    monkeypatch.setattr(Passwords, "verify", None)
    assert await guesses(identity, EMAIL, 2) == [TooManyAttempts] * 2


async def test_unknown_accounts_are_counted_alike(identity: IdentityService) -> None:
    known = await guesses(identity, EMAIL, 6)
    assert known == await guesses(identity, "nobody@example.com", 6)


async def test_a_busy_server_blames_nobody(
    identity: IdentityService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: object, **__: object) -> bool:
        raise PasswordChecksBusy

    with monkeypatch.context() as patched:
        patched.setattr(Passwords, "verify", busy)
        patched.setattr(Passwords, "hash", busy)
        for _ in range(12):
            with pytest.raises(PasswordChecksBusy):
                await identity.login(email=EMAIL, password=PASSWORD, client=AWAY)
            with pytest.raises(PasswordChecksBusy):
                await identity.register(application(), client=AWAY)
            with pytest.raises(InvalidRequest):
                await identity.register(application(name=""), client=AWAY)
    await identity.login(email=EMAIL, password=PASSWORD, client=AWAY)


async def test_registering_is_slowed_down_by_address(identity: IdentityService) -> None:
    for _ in range(10):
        await identity.register(application(), client=AWAY)
    with pytest.raises(TooManyAttempts):
        await identity.register(application(), client=AWAY)
    await identity.register(application(), client=HOME)


async def test_registering_is_no_way_to_try_passwords(identity: IdentityService) -> None:
    async def given(password: str) -> str:
        return (await identity.register(application(email=EMAIL, password=password))).record.id

    owner = (await identity.login(email=EMAIL, password=PASSWORD, client=HOME)).user.id
    # The right one is answered like all others; signing in tells nothing of it.
    for password in (PASSWORD, *(f"{number} unlikely words of nobody" for number in range(5))):
        assert await given(password) != owner
    assert await guesses(identity, EMAIL, 6) == [InvalidCredentials] * 5 + [TooManyAttempts]
    assert (await identity.login(email=EMAIL, password=PASSWORD, client=HOME)).user.id == owner


async def test_argon2id_and_back_again_at_sign_in(storage: Storage, clock: HandClock) -> None:
    async with identity_service(storage, clock) as before:
        record = (await before.register(application(email=EMAIL))).record
    for hasher, start in (("argon2id", "$argon2id$"), ("bcrypt", "$2b$04$")):
        settings = {"password_hasher": hasher, "argon2_memory_kib": 64}
        async with identity_service(storage, clock, on_registered=(), **settings) as service:
            await service.login(email=EMAIL, password=PASSWORD)
            user = await service.get_user(record.id)
            assert user
            assert user.password_hash.startswith(start)
            await service.login(email=EMAIL, password=PASSWORD)
