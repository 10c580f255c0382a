"""Settings: what is read, what is refused, and that no secret shows."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from guilder.server_secrets import SecretMissing, known_checkpoint_key, load_secrets
from guilder.setting_values import Rate
from guilder.settings import (
    Settings,
    environment_without_settings,
    load_settings,
    unknown_variables,
)

SECRET = "Yb1xQv7Zk3Lm9Rt5Wc2Nd8Hs4Jf6Gp0UaEoIi"
OTHER = "Pq8Wz5Xn2Vb7Mc4Lk9Jh1Gf6Ds3Aq0RtYuOe"
PRODUCTION: dict[str, Any] = {"environment": "production", "signing_key": SECRET, "pepper": OTHER}


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("GUILDER_"):
            monkeypatch.delenv(name)


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_development_offers_the_simulator_and_production_does_not() -> None:
    development, production = Settings(), Settings(**PRODUCTION)
    assert (development.simulator_enabled, development.docs_enabled) == (True, True)
    assert (production.simulator_enabled, production.docs_enabled) == (False, False)
    assert not production.metrics_enabled


@pytest.mark.parametrize(
    "wrong",
    [
        {"simulator_enabled": True},
        {"bcrypt_cost": 9},
        {"signing_key": "short"},
        {"pepper": "x" * 31},
    ],
)
def test_production_refuses_the_unsafe(wrong: dict[str, Any]) -> None:
    Settings(**PRODUCTION)
    with pytest.raises(ValidationError):
        Settings(**PRODUCTION | wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70_000},
        {"port": -1},
        {"default_currency": "usd"},
        {"public_url": "ftp://example.com"},
        {"rate_limit_user": "lots"},
        {"rate_limit_user": "0/60"},
        {"rate_limit_user": "5/0"},
        {"rate_limit_user": "٣/٦٠"},
        {"rate_limit_user": "5"},
        {"trusted_proxies": "10.0.0.0/33"},
        {"trusted_proxies": "proxy.example.com"},
        {"log_level": "loud"},
        {"nonsense": 1},
        {"database_accepted_settings": "fsync=off"},
        {"database_accepted_settings": "fsync; arbiters"},
        {"access_ttl_s": 0},
        {"simulator_webhook_secret": "short"},
        {"signing_key_previous": "short"},
        {"encryption_key": "short"},
        {"encryption_key_previous": "short"},
        {"limit_daily_minor": {"XXX": 1}},
        {"limit_daily_minor": {"USD": 0}},
        {"limit_transfer_minor": {"USD": 2**63}},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_asvs_13_3_1_no_secret_shows() -> None:
    settings = Settings(
        **PRODUCTION,
        metrics_token=SecretStr(SECRET[::-1]),
        database_url=SecretStr("postgresql://app:hunter2@db/x"),
    )
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        for secret in (SECRET, OTHER, SECRET[::-1], "hunter2"):
            assert secret not in text
    with pytest.raises(ValidationError) as caught:
        Settings(signing_key=SecretStr("hunter2"))
    assert "hunter2" not in str(caught.value)


def test_the_environment_is_read_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUILDER_PORT", "9000")
    monkeypatch.setenv("GUILDER_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1")
    monkeypatch.setenv("GUILDER_DATABASE_ACCEPTED_SETTINGS", "fsync, arbiters,")
    settings = load_settings(host=None)
    assert settings.port == 9000
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("192.0.2.1"))
    assert settings.database_accepted_settings == ("fsync", "arbiters")
    assert load_settings(port=9001).port == 9001


def test_asvs_13_3_1_the_secrets_directory_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "guilder_signing_key").write_text(SECRET)
    monkeypatch.setenv("GUILDER_SECRETS_DIRECTORY", str(tmp_path))
    key = load_settings().signing_key
    assert key is not None
    assert key.get_secret_value() == SECRET


def test_misspelt_variables_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "GUILDER_PORT": "1",
        "GUILDER_PROT": "1",
        "GUILDER_TEST_DATABASE_URL": "x",
        "GUILDER_SECRETS_DIRECTORY": "x",
        "PATH": "x",
    }
    assert unknown_variables(given) == ["GUILDER_PROT"]


def test_a_child_process_gets_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUILDER_PEPPER", SECRET)
    assert "GUILDER_PEPPER" not in environment_without_settings()
    assert "PATH" in environment_without_settings()


def test_development_secrets_are_made_once_and_kept_private(tmp_path: Path) -> None:
    settings = Settings(data_directory=tmp_path / "new" / "data")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_secrets(settings), range(8)))
    assert len({each.signing_key.get_secret_value() for each in found}) == 1
    secrets = found[0]
    values = {secrets.signing_key, secrets.pepper, secrets.simulator_webhook_secret}
    assert len(values) == 3
    assert all(len(value.get_secret_value()) >= 32 for value in values)
    (path,) = (tmp_path / "new" / "data").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_given_secrets_win_and_leave_no_file(tmp_path: Path) -> None:
    settings = Settings(
        data_directory=tmp_path / "x",
        signing_key=SecretStr(SECRET),
        pepper=SecretStr(OTHER),
        simulator_webhook_secret=SecretStr(SECRET[::-1]),
    )
    assert load_secrets(settings).pepper.get_secret_value() == OTHER
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("missing", ["signing_key", "pepper"])
def test_production_makes_up_no_secret(tmp_path: Path, missing: str) -> None:
    settings = Settings(**PRODUCTION | {missing: None, "data_directory": tmp_path / "x"})
    with pytest.raises(SecretMissing, match=f"GUILDER_{missing.upper()}"):
        load_secrets(settings)
    assert not (tmp_path / "x").exists()


def test_production_needs_no_secret_of_the_simulator(tmp_path: Path) -> None:
    load_secrets(Settings(**PRODUCTION, data_directory=tmp_path / "x"))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("given", "url", "is_loopback"),
    [
        ({}, "http://127.0.0.1:8000", True),
        ({"host": "::1", "port": 1}, "http://[::1]:1", True),
        ({"host": "localhost"}, "http://localhost:8000", True),
        ({"host": "0.0.0.0"}, "http://0.0.0.0:8000", False),  # noqa: S104
        ({"public_url": "https://pay.example.com/"}, "https://pay.example.com", True),
        ({"host": "pay.example.com"}, "http://pay.example.com:8000", False),
    ],
)
def test_addresses(given: dict[str, Any], url: str, is_loopback: bool) -> None:
    settings = Settings(**given)
    assert settings.base_url == url
    assert settings.is_loopback is is_loopback


def test_rates() -> None:
    assert Rate.parse("600/60") == Rate(requests=600, seconds=60)


def test_the_checkpoint_key_is_the_pepper_unless_it_is_given(tmp_path: Path) -> None:
    settings = Settings(data_directory=tmp_path / "none")
    assert known_checkpoint_key(settings) is None
    assert not (tmp_path / "none").exists()
    secrets = load_secrets(settings)
    assert secrets.checkpoint_key == secrets.pepper == known_checkpoint_key(settings)
    production = Settings(**PRODUCTION)
    assert load_secrets(production).checkpoint_key == SecretStr(OTHER)
    assert known_checkpoint_key(production) == SecretStr(OTHER)
    own = Settings(**PRODUCTION, checkpoint_key=SecretStr(OTHER[::-1]))
    assert load_secrets(own).checkpoint_key == SecretStr(OTHER[::-1])
    assert known_checkpoint_key(own) == SecretStr(OTHER[::-1])


def test_the_pepper_opens_what_it_sealed_before_there_was_an_encryption_key() -> None:
    assert load_secrets(Settings(**PRODUCTION)).encryption_keys == (SecretStr(OTHER),)
    own, previous = SecretStr(OTHER[::-1]), SecretStr(SECRET[::-1])
    settings = Settings(**PRODUCTION, encryption_key=own, encryption_key_previous=previous)
    assert load_secrets(settings).encryption_keys == (own, previous, SecretStr(OTHER))


def test_limits_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUILDER_LIMIT_DAILY_MINOR", '{"USD": 100000, "JPY": 5}')
    assert load_settings().limit_daily_minor == {"USD": 100_000, "JPY": 5}
    assert load_settings().limit_transfer_minor == {}
