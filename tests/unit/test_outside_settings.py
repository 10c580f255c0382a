"""What an operator may say about signing in by other companies, and what is refused."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from guilder.app.outside import outside_config
from guilder.identity.outside.config import FACEBOOK_GRAPH, GOOGLE_ISSUER
from guilder.settings import Settings

BACK = "https://wallet.example.com/signed-in"
GOOGLE = {"name": "google", "client_id": "id", "client_secret": "hidden value"}
OTHER = {**GOOGLE, "name": "keycloak", "issuer": "https://id.example.com/realms/pay"}


def settings(*providers: dict[str, Any], **more: Any) -> Settings:
    return Settings(**{"oidc_providers": list(providers), "outside_return_urls": BACK, **more})


def test_none_by_default() -> None:
    assert outside_config(Settings()).providers == ()


def test_presets_need_an_id_and_a_secret() -> None:
    facebook = {**GOOGLE, "name": "facebook"}
    config = outside_config(settings(GOOGLE, facebook, public_url="https://pay.example.com/"))
    google, friend = config.providers
    assert (google.kind, google.label, google.issuer) == ("google", "Google", GOOGLE_ISSUER)
    assert google.scopes == ("openid", "email", "profile")
    assert (friend.kind, friend.label, friend.graph_url) == ("facebook", "Facebook", FACEBOOK_GRAPH)
    assert friend.scopes == ("email", "public_profile")
    assert config.return_urls == {BACK}
    back = "https://pay.example.com/v1/auth/outside/google/callback"
    assert config.callback_url("google") == back


def test_another_provider_has_an_issuer() -> None:
    config = outside_config(settings({**OTHER, "label": "The Office", "scopes": ["openid"]}))
    (office,) = config.providers
    assert (office.kind, office.label, office.scopes) == ("oidc", "The Office", ("openid",))
    assert outside_config(settings(OTHER)).providers[0].label == "Keycloak"


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUILDER_OIDC_PROVIDERS", json.dumps([GOOGLE, OTHER]))
    monkeypatch.setenv("GUILDER_OUTSIDE_RETURN_URLS", f"{BACK}, http://localhost:5173/signed-in")
    found = Settings()
    assert [each.name for each in found.oidc_providers] == ["google", "keycloak"]
    assert len(found.outside_return_urls) == 2
    assert "hidden value" not in repr(found)


@pytest.mark.parametrize(
    "provider",
    [
        {**GOOGLE, "name": "Google"},
        {**GOOGLE, "name": "../google"},
        {**GOOGLE, "name": "office"},
        {**GOOGLE, "client_id": ""},
        {**GOOGLE, "client_secret": ""},
        {"name": "google", "client_id": "id"},
        {**GOOGLE, "more": "x"},
        {**OTHER, "issuer": "http://id.example.com"},
        {**OTHER, "issuer": "id.example.com"},
        {**OTHER, "issuer": "https://user:word@id.example.com"},
        {**OTHER, "issuer": "https://id.example.com?x=1"},
        {**OTHER, "issuer": "https://id.example.com\n"},
        {**OTHER, "graph_url": "https://graph.facebook.com/v24.0"},
        {**OTHER, "name": "facebook"},
        {**OTHER, "scopes": ["openid email"]},
    ],
)
def test_providers_that_are_refused(provider: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(provider)
    assert "hidden value" not in str(refused.value)


def test_each_has_a_name_of_its_own() -> None:
    with pytest.raises(ValidationError, match="name of its own"):
        settings(GOOGLE, GOOGLE)


def test_there_is_a_way_back() -> None:
    with pytest.raises(ValidationError, match="outside_return_urls"):
        settings(GOOGLE, outside_return_urls="")


@pytest.mark.parametrize(
    "url",
    [
        "wallet.example.com",
        "//wallet.example.com",
        "javascript:alert(1)",
        "https://wallet.example.com/#here",
        "https://user@wallet.example.com/",
        "https://wallet.example.com/\u00e9",
        "https://" + "x" * 1_000,
        "com.example.wallet:/signed-in",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        settings(GOOGLE, outside_return_urls=url)
