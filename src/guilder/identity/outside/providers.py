"""What a company has to do so that people can sign in by it, and those that are set up."""

from collections.abc import Iterable
from typing import Protocol

from guilder.identity.outside.config import ProviderConfig
from guilder.identity.outside.exchange import Asked
from guilder.identity.outside.facebook import FacebookProvider
from guilder.identity.outside.models import OutsidePerson
from guilder.identity.outside.oidc import OidcProvider
from guilder.kernel.clock import Clock


class Provider(Protocol):
    """One company."""

    @property
    def config(self) -> ProviderConfig:
        """Who it is."""

    async def authorization_url(self, asked: Asked) -> str:
        """Return where the browser is sent.

        Raises:
            OutsideUnavailable: It does not answer.
            OutsideAnswerRefused: What it publishes about itself is not its own.
        """

    async def check_issuer(self, named: str | None) -> None:
        """Refuse an answer that another company sent the browser back with.

        Raises:
            OutsideAnswerRefused: It is another's.
            OutsideUnavailable: It does not answer.
        """

    async def person(self, code: str, asked: Asked) -> OutsidePerson:
        """Return who came back.

        Raises:
            OutsideUnavailable: It does not answer.
            OutsideAnswerRefused: What it says is not to be believed.
        """

    async def aclose(self) -> None:
        """Give the connections back."""


def make_providers(configs: Iterable[ProviderConfig], *, clock: Clock) -> dict[str, Provider]:
    """Return the companies by name, in their order."""
    return {
        config.name: FacebookProvider(config)
        if config.kind == "facebook"
        else OidcProvider(config, clock=clock)
        for config in configs
    }
