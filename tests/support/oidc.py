"""Companies to sign in by, and a browser that walks there and back, for tests.

`Company` is an OpenID Connect provider that checks everything a provider should, and lies as it is
told; `Facebook` has the shape of Facebook's; `mock_provider` runs somebody else's, in a process.
"""

import asyncio
import contextlib
import hashlib
import hmac
import os
import secrets
import socket
import subprocess
import sys
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from guilder.web.server import listen, make_server
from tests.support.http import QuietServer

CLIENT_ID, CLIENT_SECRET = "a client", "a secret of the client: 32 bytes or more"
RETURN_URL = "http://wallet.example.com/signed-in?from=outside"
_PATIENCE_S = 30


def s256(verifier: str) -> str:
    """Return the challenge of a verifier, by another way than the code under test."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


@dataclass
class Company:
    """An OpenID Connect provider; everybody is signed in there already.

    Args:
        person: What it says of whoever comes, beside what every token says.
        lies: Changes of the claims of the next tokens.
        header: Changes of their headers.
        forge: Makes a token of claims, in the place of signing.
        answers: Whole answers by path, in the place of the right ones.
        names_itself: It sends `iss` with the browser, and says that it does.
        reply: Changes of what the browser brings back; None leaves a value out.
    """

    person: dict[str, Any] = field(default_factory=dict)
    lies: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    forge: Callable[[dict[str, Any]], str] | None = None
    answers: dict[str, Response] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    reply: dict[str, str | None] = field(default_factory=dict)
    names_itself: bool = True
    port: int = 0
    key: RSAKey = field(default_factory=lambda: new_key("first"))
    published: list[RSAKey] | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, Any]:
        """What Guilder is told of it."""
        return {
            "name": "company",
            "label": "The Company",
            "issuer": self.issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
        }

    def honest(self) -> None:
        """Forget every lie."""
        self.lies, self.header, self.forge, self.reply = {}, {}, None, {}
        self.answers, self.metadata, self.published = {}, {}, None

    def routes(self) -> list[Route]:
        return [
            Route("/.well-known/openid-configuration", self._told(self._metadata)),
            Route("/authorize", self._told(self._authorize)),
            Route("/token", self._told(self._token), methods=["POST"]),
            Route("/jwks", self._told(self._jwks)),
            Route("/userinfo", self._told(self._userinfo)),
            Route("/stolen", self._told(self._metadata)),
        ]

    def _told(self, real: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            self.asked.append(request.url.path)
            lie = self.answers.get(request.url.path)
            answered: Response = lie if lie is not None else await real(request)
            return answered

        return answer

    async def _metadata(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": self.names_itself,
                **self.metadata,
            }
        )

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        code = secrets.token_urlsafe(24)
        self._check(asked.get("client_id") == CLIENT_ID, "client")
        self._check(asked.get("response_type") == "code", "response type")
        self._check(asked.get("code_challenge_method") == "S256", "PKCE")
        self._check(len(asked.get("code_challenge", "")) == 43, "PKCE")
        self._check(bool(asked.get("nonce")) and bool(asked.get("state")), "nonce and state")
        self._check("openid" in asked.get("scope", "").split(), "scope")
        self.codes[code] = asked
        brought = {"code": code, "state": asked["state"]}
        brought |= {"iss": self.issuer} if self.names_itself else {}
        changed = {**brought, **self.reply}
        query = urlencode({name: value for name, value in changed.items() if value is not None})
        return RedirectResponse(f"{asked['redirect_uri']}?{query}", status_code=302)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        asked = self.codes.pop(form.get("code", ""), None)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        who = b64decode(given).decode().partition(":")
        is_client = (unquote(who[0]), unquote(who[2])) == (CLIENT_ID, CLIENT_SECRET)
        self._check(scheme == "Basic" and is_client, "client authentication")
        self._check(form.get("grant_type") == "authorization_code", "grant type")
        if asked is None or s256(form.get("code_verifier", "")) != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        self._check(form.get("redirect_uri") == asked["redirect_uri"], "redirect_uri")
        token = secrets.token_urlsafe(24)
        claims = self.claims(asked["nonce"])
        self.tokens[token] = {"sub": claims.get("sub"), **self.person}
        return JSONResponse(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": 60,
                "id_token": self.signed(claims),
            }
        )

    def claims(self, nonce: str) -> dict[str, Any]:
        """Return what a token says."""
        now = int(time.time())
        said = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "somebody",
            "nonce": nonce,
            "iat": now,
            "exp": now + 300,
            **self.person,
            **self.lies,
        }
        return {name: value for name, value in said.items() if value is not ...}

    def signed(self, claims: dict[str, Any]) -> str:
        """Return a token."""
        if self.forge is not None:
            return self.forge(claims)
        header = {"alg": "RS256", "kid": self.key.kid, **self.header}
        return jwt.encode({k: v for k, v in header.items() if v is not ...}, claims, self.key)

    async def _jwks(self, _request: Request) -> Response:
        keys = [self.key] if self.published is None else self.published
        return JSONResponse({"keys": [key.as_dict(private=False) for key in keys]})

    async def _userinfo(self, request: Request) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return JSONResponse(self.tokens[token])

    def _check(self, is_right: bool, what: str) -> None:
        if not is_right:
            self.problems.append(what)


@dataclass
class Facebook:
    """A server of the shape of Facebook's dialog and Graph; everybody is signed in there already.

    Args:
        person: What Graph says of whoever comes.
        answers: Whole answers by path, in the place of the right ones.
    """

    person: dict[str, Any] = field(default_factory=lambda: {"id": "10158", "name": "A Friend"})
    answers: dict[str, Response] = field(default_factory=dict)
    port: int = 0
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, Any]:
        """What Guilder is told of it."""
        here = f"http://127.0.0.1:{self.port}"
        return {
            "name": "facebook",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "dialog_url": f"{here}/dialog/oauth",
            "graph_url": f"{here}/graph",
        }

    def routes(self) -> list[Route]:
        return [
            Route("/dialog/oauth", self._dialog),
            Route("/graph/oauth/access_token", self._token, methods=["GET", "POST"]),
            Route("/graph/me", self._me),
        ]

    async def _dialog(self, request: Request) -> Response:
        asked = dict(request.query_params)
        code = secrets.token_urlsafe(24)
        self.codes[code] = asked
        query = urlencode({"code": code, "state": asked["state"]})
        # Facebook appends this to every address; browsers send it to nobody.
        return RedirectResponse(f"{asked['redirect_uri']}?{query}#_=_", status_code=302)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode())) or dict(request.query_params)
        asked = self.codes.pop(form.get("code", ""), None)
        is_client = form.get("client_id"), form.get("client_secret")
        if (
            asked is None
            or is_client != (CLIENT_ID, CLIENT_SECRET)
            or form.get("redirect_uri") != asked["redirect_uri"]
            or s256(form.get("code_verifier", "")) != asked.get("code_challenge")
        ):
            error = {"message": "Invalid verification code format.", "type": "OAuthException"}
            return JSONResponse({"error": error}, status_code=400)
        token = secrets.token_urlsafe(24)
        self.tokens.add(token)
        return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": 5_000})

    async def _me(self, request: Request) -> Response:
        lie = self.answers.get("/me")
        if lie is not None:
            return lie
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        proof = hmac.digest(CLIENT_SECRET.encode(), token.encode(), "sha256").hex()
        if token not in self.tokens or request.query_params.get("appsecret_proof") != proof:
            self.problems.append("token or proof")
            return JSONResponse({"error": {"code": 190}}, status_code=400)
        fields = request.query_params["fields"].split(",")
        return JSONResponse({name: self.person[name] for name in fields if name in self.person})


def new_key(kid: str, bits: int = 2048) -> RSAKey:
    """Return a key to sign with."""
    return RSAKey.generate_key(bits, {"kid": kid, "use": "sig", "alg": "RS256"}, private=True)


@contextlib.asynccontextmanager
async def serving_company(company: Company | Facebook) -> AsyncIterator[None]:
    """Run a company on loopback."""
    app = Starlette(routes=company.routes())
    with listen("127.0.0.1", 0) as listener:
        company.port = listener.getsockname()[1]
        config = make_server(
            app,
            header_bytes_max=65_536,
            request_timeout_s=_PATIENCE_S,
            connections_max=100,
            shutdown_timeout_s=1,
        ).config
        server = QuietServer(config, on_ready=lambda _: None)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not server.started:
                    assert not task.done(), "the company did not start"
                    await asyncio.sleep(0.01)
            yield
        finally:
            server.should_exit = True
            await task


@contextlib.asynccontextmanager
async def mock_provider(*claims: str) -> AsyncIterator[str]:
    """Run oidc-provider-mock in a process of its own, and return its issuer.

    Args:
        claims: People, each a JSON object with `sub`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    people = [part for each in claims for part in ("--user-claims", each)]
    command = [sys.executable, "-m", "oidc_provider_mock", "-p", str(port), *people]
    # Its library warns of what it uses itself: in its own process that disturbs nobody.
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(  # noqa: ASYNC220 - quick, and it has to be waited for anyway
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            await _answering(f"http://127.0.0.1:{port}/", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


async def _answering(url: str, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(_PATIENCE_S), httpx2.AsyncClient() as client:
        while process.poll() is None:
            with contextlib.suppress(httpx2.TransportError):
                await client.get(url)
                return
            await asyncio.sleep(0.05)
    raise AssertionError("oidc-provider-mock did not start")


@dataclass
class Browser:
    """Somebody's browser, and the client that runs in it.

    Redirects are walked by hand: what a browser is sent to is looked at before it goes there.
    """

    api: httpx2.AsyncClient
    web: httpx2.AsyncClient
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    async def start(self, provider: str, **changes: str) -> httpx2.Response:
        """Click on the button."""
        query = {"return_url": RETURN_URL, "challenge": s256(self.verifier), **changes}
        return await self.api.get(f"/v1/auth/outside/{provider}/start", params=query)

    async def to_callback(self, url: str, form: dict[str, str] | None = None) -> str:
        """Let the company have its say, and return where it sends the browser back."""
        answer = await (self.web.get(url) if form is None else self.web.post(url, data=form))
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    async def back(self, url: str) -> dict[str, str]:
        """Come back, and return what the client is told."""
        parts = urlsplit(url)
        answer = await self.api.get(f"{parts.path}?{parts.query}")
        assert answer.status_code == 303, answer.text
        assert answer.headers["cache-control"] == "no-store"
        location = answer.headers["location"]
        assert location.startswith(f"{RETURN_URL}&"), location
        told = parse_qs(urlsplit(location).query)
        assert told.pop("from") == ["outside"]
        return {name: values[0] for name, values in told.items()}

    async def walk(self, provider: str, form: dict[str, str] | None = None) -> dict[str, str]:
        """Go all the way from the button back to the client."""
        started = await self.start(provider)
        assert started.status_code == 303, started.text
        return await self.back(await self.to_callback(started.headers["location"], form))

    async def complete(self, told: dict[str, str], **changes: str) -> httpx2.Response:
        """Finish signing in."""
        body = {"code": told.get("code", "none"), "verifier": self.verifier, **changes}
        return await self.api.post("/v1/auth/outside/complete", json=body)

    async def sign_in(self, provider: str, form: dict[str, str] | None = None) -> httpx2.Response:
        """Sign in, from the button to the session."""
        return await self.complete(await self.walk(provider, form))


@contextlib.asynccontextmanager
async def browser(base_url: str) -> AsyncIterator[Browser]:
    """Open a browser with cookies of its own."""
    async with (
        httpx2.AsyncClient(base_url=base_url, timeout=_PATIENCE_S) as api,
        httpx2.AsyncClient(timeout=_PATIENCE_S) as web,
    ):
        yield Browser(api, web)
