"""Hashing passwords: nothing cut off, nothing on the event loop, nothing without bound."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from guilder.identity.errors import PasswordChecksBusy
from guilder.identity.password_hashers import salt_of
from guilder.identity.passwords import Passwords
from tests.support.identity import quick_config


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(quick_config())
    yield made
    made.close()


async def test_hash_is_bcrypt_and_matches_its_password_alone(passwords: Passwords) -> None:
    stored = await passwords.hash("one password")
    assert stored.startswith("$2b$04$")
    assert await passwords.verify("one password", stored)
    assert not await passwords.verify("One password", stored)


@pytest.mark.parametrize("length", [72, 73, 1024])
async def test_asvs_6_2_8_no_byte_is_cut_off(passwords: Passwords, length: int) -> None:
    stored = await passwords.hash("x" * (length - 1) + "a")
    assert not await passwords.verify("x" * (length - 1) + "b", stored)
    assert await passwords.verify("x" * (length - 1) + "a", stored)


async def test_no_nul_cuts_a_password(passwords: Passwords) -> None:
    stored = await passwords.hash("abc\x00def")
    assert not await passwords.verify("abc\x00xyz", stored)


async def test_asvs_6_2_8_one_password_on_two_keyboards(passwords: Passwords) -> None:
    stored = await passwords.hash("caf\u00e9 \ufb00")
    assert await passwords.verify("cafe\u0301 ff", stored)


async def test_another_pepper_matches_nothing(passwords: Passwords) -> None:
    other = Passwords(quick_config(pepper=b"another pepper, also 32 bytes or longer"))
    try:
        assert not await other.verify("one password", await passwords.hash("one password"))
    finally:
        other.close()


async def test_nobody_has_a_password(passwords: Passwords) -> None:
    assert not await passwords.verify("", None)
    assert not await passwords.verify("one password", None)


async def test_a_salt_makes_hashes_comparable(passwords: Passwords) -> None:
    stored = await passwords.hash("one password")
    assert await passwords.hash("one password", salt=salt_of(stored)) == stored
    assert await passwords.hash("two password", salt=salt_of(stored)) != stored


async def test_hash_of_another_cost_is_renewed(passwords: Passwords) -> None:
    stored = await passwords.hash("one password")
    assert not passwords.needs_rehash(stored)
    assert passwords.needs_rehash(stored.replace("$04$", "$05$"))


async def test_more_than_the_queue_holds_are_refused() -> None:
    passwords = Passwords(quick_config(password_workers=1, password_queue=2))
    go = threading.Event()
    try:
        waiting = [asyncio.create_task(passwords._run(go.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(PasswordChecksBusy):
            await passwords.hash("one password")
        go.set()
        await asyncio.gather(*waiting)
        assert await passwords.hash("one password")
    finally:
        go.set()
        passwords.close()


async def test_a_place_is_free_again_only_when_the_thread_is() -> None:
    passwords = Passwords(quick_config(password_workers=1, password_queue=1))
    go, started = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        go.wait()

    try:
        task = asyncio.create_task(passwords._run(work))
        await asyncio.to_thread(started.wait)
        task.cancel()
        await asyncio.wait([task])
        with pytest.raises(PasswordChecksBusy):
            await passwords.hash("one password")
    finally:
        go.set()
        passwords.close()
