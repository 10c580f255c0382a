"""Shapes what the settings say about signing in by other companies."""

from typing import Final

from guilder.identity.outside.config import (
    FACEBOOK_DIALOG,
    FACEBOOK_GRAPH,
    FACEBOOK_ISSUER,
    GOOGLE_ISSUER,
    Kind,
    OutsideConfig,
    ProviderConfig,
)
from guilder.outside_settings import ProviderSettings
from guilder.settings import Settings

CALLBACK_PATH: Final = "/v1/auth/outside"
_OIDC_SCOPES: Final = ("openid", "email", "profile")
_SCOPES: Final[dict[Kind, tuple[str, ...]]] = {
    "oidc": _OIDC_SCOPES,
    "google": _OIDC_SCOPES,
    "facebook": ("email", "public_profile"),
}
_ISSUERS: Final = {"google": GOOGLE_ISSUER, "facebook": FACEBOOK_ISSUER}
_LABELS: Final = {"google": "Google", "facebook": "Facebook"}


def outside_config(settings: Settings) -> OutsideConfig:
    """Return which companies people can sign in by, and where browsers may be sent."""
    return OutsideConfig(
        providers=tuple(_provider(each) for each in settings.oidc_providers),
        return_urls=frozenset(settings.outside_return_urls),
        callback_base=settings.base_url + CALLBACK_PATH,
    )


def _provider(given: ProviderSettings) -> ProviderConfig:
    kind: Kind = "oidc"
    if given.name == "google":
        kind = "google"
    elif given.name == "facebook":
        kind = "facebook"
    return ProviderConfig(
        name=given.name,
        label=given.label or _LABELS.get(given.name, given.name.capitalize()),
        kind=kind,
        issuer=given.issuer or _ISSUERS[given.name],
        client_id=given.client_id,
        client_secret=given.client_secret.get_secret_value(),
        scopes=given.scopes or _SCOPES[kind],
        dialog_url=given.dialog_url or FACEBOOK_DIALOG,
        graph_url=given.graph_url or FACEBOOK_GRAPH,
    )
