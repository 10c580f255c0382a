"""Passkeys in a real browser: what it makes out of our options, and we out of its answers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Error

from tests.support.chromium import EXECUTABLE, VirtualDevice, chromium_page, visit
from tests.support.databases import Database
from tests.support.http import PASSWORD, Running, running, settings_for
from tests.support.passkey_people import origin_of

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="there is no chromium on this machine")

PAGE = Path(__file__).with_name("passkeys.html").read_text()


@pytest.fixture
async def guilder(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    urls = {"database_url": database.url, "database_owner_url": database.owner_url}
    async with running(**settings_for(tmp_path, **urls)) as started:
        yield started


async def test_a_browser_adds_a_passkey_signs_in_with_it_and_removes_it(
    guilder: Running,
) -> None:
    person = await guilder.person()
    mine = [person.token, PASSWORD]
    async with chromium_page() as page:
        await visit(page, f"{origin_of(guilder)}/passkeys", PAGE)
        device = await VirtualDevice.of(page)
        added = await page.evaluate("mine => add(...mine)", mine)
        assert added["status"] == 201, added
        assert len(added["body"]["recovery_codes"]) == 10
        assert await device.count() == 1

        # Nobody has said who it is: the device knows.
        alone = await page.evaluate("signIn()")
        assert alone["status"] == 200, alone
        assert alone["body"]["user"]["id"] == person.user["id"]
        who = [person.user["email"], PASSWORD]
        second = await page.evaluate("who => signInByPassword(...who)", who)
        assert second["status"] == 200, second

        # One that does not recognise its user shows nothing.
        await device.recognise(is_user=False)
        with pytest.raises(Error, match="NotAllowedError"):
            await page.evaluate("signIn()")
        await device.recognise(is_user=True)

        # Nor does it make a second passkey for the same account.
        with pytest.raises(Error, match="InvalidStateError"):
            await page.evaluate("mine => add(...mine)", mine)

        gone = [person.token, added["body"]["passkey"]["id"]]
        removed = await page.evaluate("gone => remove(...gone)", gone)
        assert removed["status"] == 204, removed
        refused = await page.evaluate("signIn()")
        assert (refused["status"], refused["body"]["code"]) == (401, "passkey_refused")

        # On another page it does not even ask the device.
        await visit(page, f"http://127.0.0.1:{guilder.settings.port}/passkeys", PAGE)
        with pytest.raises(Error, match="SecurityError"):
            await page.evaluate("signIn()")
