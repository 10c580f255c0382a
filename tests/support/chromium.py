"""A browser without a window, with a device inside that has passkeys: Chromium's own."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from typing import Final

from playwright.async_api import Browser, CDPSession, Page, Route, async_playwright

EXECUTABLE: Final = shutil.which("chromium") or shutil.which("chromium-browser")
_ARGUMENTS: Final = (
    "--no-sandbox",  # As root it starts in no other way.
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_DEVICE: Final = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@contextlib.asynccontextmanager
async def chromium_browser(*arguments: str) -> AsyncIterator[Browser]:
    """Lend a browser, started with more arguments than those every test needs."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=EXECUTABLE, args=[*_ARGUMENTS, *arguments], timeout=60_000
        )
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def chromium_page() -> AsyncIterator[Page]:
    """Lend an empty page of a browser."""
    async with chromium_browser() as browser:
        page = await browser.new_page()
        page.set_default_timeout(30_000)
        yield page


async def visit(page: Page, url: str, html: str) -> None:
    """Have the browser believe that a page is at `url`. What it asks there is asked for real."""

    async def serve(route: Route) -> None:
        await route.fulfill(body=html, content_type="text/html")

    await page.route(url, serve)
    await page.goto(url)


class VirtualDevice:
    """The device inside: it does at once what a person would do."""

    def __init__(self, session: CDPSession, device_id: str) -> None:
        self._session = session
        self._id = device_id

    @classmethod
    async def of(cls, page: Page) -> "VirtualDevice":
        """Put one into the browser."""
        session = await page.context.new_cdp_session(page)
        await session.send("WebAuthn.enable")
        added = await session.send("WebAuthn.addVirtualAuthenticator", {"options": _DEVICE})
        return cls(session, added["authenticatorId"])

    async def recognise(self, *, is_user: bool) -> None:
        """Have it recognise its user, or not."""
        given = {"authenticatorId": self._id, "isUserVerified": is_user}
        await self._session.send("WebAuthn.setUserVerified", given)

    async def count(self) -> int:
        """Return how many passkeys it has."""
        given = {"authenticatorId": self._id}
        return len((await self._session.send("WebAuthn.getCredentials", given))["credentials"])
