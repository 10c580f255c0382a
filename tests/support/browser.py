"""A page of ours in a browser: keeps cookies as a browser does, and says where it comes from."""

from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

import httpx2

from guilder.identity.cookies import CSRF_COOKIE
from tests.support.http import PASSWORD, Running

SESSION = "/v1/auth/cookie-session"


@dataclass
class Browser:
    """Cookies by name, each with its path; `Secure` ones too, as browsers do on loopback."""

    guilder: Running
    user: dict[str, Any] = field(default_factory=dict)
    cookies: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        host, port = self.guilder.address
        return f"http://{host}:{port}"

    @property
    def csrf_token(self) -> str:
        return self.cookies[CSRF_COOKIE][0]

    def cookie_header(self, path: str) -> str:
        """Return what a browser sends to a path."""
        return "; ".join(
            f"{name}={value}"
            for name, (value, scope) in self.cookies.items()
            if path.startswith(scope)
        )

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: dict[str, str] | None = None,
        is_ours: bool = True,
    ) -> httpx2.Response:
        """Send a request as a page of ours does, or with cookies only."""
        ours = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        if CSRF_COOKIE in self.cookies:
            ours["CSRF-Token"] = self.csrf_token
        cookies = self.cookie_header(path)
        sent = {"Cookie": cookies} if cookies else {}
        sent |= {**(ours if is_ours else {}), **(headers or {})}
        options: dict[str, Any] = {} if body is None else {"json": body}
        # As bytes: attackers send more than ASCII.
        raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
        answer = await self.guilder.client.request(method, path, headers=raw, **options)
        # The client keeps none: what is sent is up to this class.
        self.guilder.client.cookies.clear()
        self._keep(answer)
        return answer

    def _keep(self, answer: httpx2.Response) -> None:
        for line in answer.headers.get_list("set-cookie"):
            for name, cookie in SimpleCookie(line).items():
                if cookie["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = (cookie.value, cookie["path"])

    async def sign_in(self, email: str) -> dict[str, Any]:
        """Sign in as the page does: by password, then into cookies."""
        body = {"email": email, "password": PASSWORD}
        tokens = (await self.send("POST", "/v1/login", body)).raise_for_status().json()
        trade = {"refresh_token": tokens["refresh_token"], "device_token": tokens["device_token"]}
        answer = (await self.send("POST", SESSION, trade)).raise_for_status()
        self.user = answer.json()["user"]
        return dict(answer.json())


async def browser_of(guilder: Running) -> Browser:
    """Return the browser of somebody new who has signed in."""
    person = await guilder.person()
    browser = Browser(guilder)
    await browser.sign_in(person.user["email"])
    return browser
