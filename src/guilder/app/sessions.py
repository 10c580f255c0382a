"""What the application composes for sessions: keys of access tokens, and cookies."""

from fastapi import FastAPI

from guilder.identity.config import Algorithm, SigningKey
from guilder.identity.cookies import ACCESS_COOKIE, CookieSessions
from guilder.identity.jwks import key_set
from guilder.server_secrets import Secrets
from guilder.settings import Settings


def signing_keys(settings: Settings, secrets: Secrets) -> tuple[SigningKey, ...]:
    """Return the keys of access tokens: the first signs, all of them verify."""
    algorithm = settings.signing_algorithm
    earlier: Algorithm = settings.signing_algorithm_previous or algorithm
    keys = [
        (secrets.signing_key, algorithm),
        (settings.signing_key_next, algorithm),
        (settings.signing_key_previous, earlier),
    ]
    return tuple(
        SigningKey(key.get_secret_value().encode(), each) for key, each in keys if key is not None
    )


def start_cookies(app: FastAPI, settings: Settings, secrets: Secrets, *, prefix: str) -> None:
    """Have sessions in cookies read, and the public keys of tokens shown. After the people."""
    state = app.state
    state.key_set = key_set(signing_keys(settings, secrets))
    state.cookies = CookieSessions(
        state.identity,
        secret=secrets.pepper.get_secret_value().encode(),
        public_url=settings.public_url,
        prefix=prefix,
    )
    state.authenticator.add_cookie(ACCESS_COOKIE, state.cookies)
