"""The doctor finds each unsafe setting, and nothing in a safe one."""

from pathlib import Path
from typing import Any

import pytest

from guilder.doctor import Finding, doctor
from guilder.settings import Settings

SECRET = "Yb1xQv7Zk3Lm9Rt5Wc2Nd8Hs4Jf6Gp0UaEoIi"
OTHER = "Pq8Wz5Xn2Vb7Mc4Lk9Jh1Gf6Ds3Aq0RtYuOe"
THIRD = "Lm7Tn3Gx9Kw5Rd1Bz6Hv2Qy8Cf4Js0PaEuIoY"
FOURTH = "Tg4Vb8Ny2Mj6Kx1Zq9Wr3Lc7Hd5Fs0PeAuIoTy"


def found(tmp_path: Path, **given: Any) -> list[Finding]:
    safe: dict[str, Any] = {
        "environment": "production",
        "signing_key": SECRET,
        "pepper": OTHER,
        "encryption_key": THIRD,
        "public_url": "https://pay.example.com",
        "database_url": "postgresql://app:r4nd0m@db.internal/guilder?sslmode=verify-full",
        "data_directory": tmp_path,
        "smtp_host": "mail.example.com",
        "mail_from": "no-reply@example.com",
        "sms_account_sid": "AC" + "0" * 32,
        "sms_auth_token": FOURTH,
        "sms_from": "+12025550100",
        "sms_countries": "US,CA",
        "step_up_transfer_minor": {"USD": 50_000},
    }
    return doctor(Settings(**safe | given))


def test_safe_settings_are_fine(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("given", "setting", "is_error"),
    [
        ({"signing_key": None}, "signing_key", True),
        ({"pepper": None}, "pepper", True),
        ({"signing_key": "a" * 40}, "signing_key", True),
        ({"pepper": "please-change-me-please-change-me-0987"}, "pepper", True),
        ({"pepper": SECRET}, "signing_key", True),
        ({"encryption_key": None}, "encryption_key", False),
        ({"encryption_key": "a" * 40}, "encryption_key", True),
        ({"encryption_key": OTHER}, "signing_key", True),
        ({"encryption_key_previous": THIRD}, "encryption_key_previous", False),
        ({"public_url": None}, "public_url", True),
        ({"public_url": "http://pay.example.com"}, "public_url", True),
        ({"public_url": "https://192.0.2.5"}, "public_url", False),
        ({"docs_enabled": True}, "docs_enabled", False),
        ({"metrics_enabled": True}, "metrics_enabled", True),
        ({"log_level": "debug"}, "log_level", False),
        ({"rate_limit_enabled": False}, "rate_limit_enabled", True),
        ({"verified_contact_required": False}, "verified_contact_required", False),
        ({"staff_second_factor_required": False}, "staff_second_factor_required", True),
        ({"step_up_payouts": False}, "step_up_payouts", False),
        ({"step_up_transfer_minor": {}}, "step_up_transfer_minor", False),
        ({"recovery_url": "http://pay.example.com/new"}, "recovery_url", True),
        ({"trusted_proxies": "0.0.0.0/0"}, "trusted_proxies", True),
        ({"access_ttl_s": 7_200, "session_idle_s": 7_200}, "access_ttl_s", False),
        ({"database_url": None}, "database_url", False),
        ({"database_url": "postgresql://a:b@db.internal/x"}, "database_url", True),
        ({"database_url": "postgresql://a:b@db.internal/x?sslmode=require"}, "database_url", True),
        ({"database_url": "postgresql://a:postgres@127.0.0.1/x"}, "database_url", True),
        ({"database_owner_url": "postgresql://a:b@10.0.0.1/x"}, "database_owner_url", True),
        ({"database_url": "mongodb://a:b@db.internal/x?replicaSet=r"}, "database_url", True),
        ({"database_url": "mongodb://127.0.0.1:1,db.internal:2/x"}, "database_url", True),
        (
            {"database_url": "mongodb://db.internal/x?tls=true&tlsInsecure=true"},
            "database_url",
            True,
        ),
        ({"database_url": "mongodb+srv://db.internal/x?tls=false"}, "database_url", True),
        ({"database_accepted_settings": "fsync"}, "database_accepted_settings", False),
        ({"smtp_host": None}, "smtp_host", True),
        ({"sms_account_sid": None, "sms_auth_token": None}, "sms_account_sid", False),
        ({"sms_countries": ""}, "sms_countries", False),
        ({"outside_return_urls": "https://wallet.example.com/in"}, "outside_return_urls", False),
    ],
)
def test_each_fault_is_found(
    tmp_path: Path, given: dict[str, Any], setting: str, is_error: bool
) -> None:
    tmp_path.chmod(0o711)
    (finding,) = found(tmp_path, **given)
    assert (finding.setting, finding.is_error) == (setting, is_error)
    assert finding.problem
    assert finding.cure
    for secret in (SECRET, OTHER, "please-change-me"):
        assert secret not in str(finding.as_dict())


def test_a_local_database_needs_no_tls(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    for host in ("127.0.0.1", "[::1]", "localhost"):
        assert found(tmp_path, database_url=f"postgresql://a:r4nd0m@{host}/x") == []


def test_open_files_are_found(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    (finding,) = found(tmp_path)
    assert finding.setting == "data_directory"
    tmp_path.chmod(0o700)
    (tmp_path / "development-secrets.json").write_text("{}")
    (tmp_path / "development-secrets.json").chmod(0o644)
    (finding,) = found(tmp_path)
    assert "chmod 600" in finding.cure


def test_development_is_for_this_machine(tmp_path: Path) -> None:
    settings = Settings(host="0.0.0.0", data_directory=tmp_path / "x")  # noqa: S104
    assert [each.setting for each in doctor(settings)] == ["environment"]
    assert doctor(Settings(data_directory=tmp_path / "x")) == []


def test_a_weak_hash_is_found(tmp_path: Path) -> None:
    settings = Settings(bcrypt_cost=4, data_directory=tmp_path / "x")
    assert [each.setting for each in doctor(settings)] == ["bcrypt_cost"]


def test_a_misspelt_variable_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUILDER_PROT", "1")
    tmp_path.chmod(0o711)
    (finding,) = found(tmp_path)
    assert finding.setting == "GUILDER_PROT"


def test_errors_come_first(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    findings = found(tmp_path, docs_enabled=True, public_url=None, log_level="debug")
    assert [each.is_error for each in findings] == [True, False, False]


def test_the_bundled_database_has_connections_for_so_many_workers(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    assert not [f for f in found(tmp_path, workers=64) if f.setting == "workers"]
    bundled = found(tmp_path, workers=10, database_url=None)
    (finding,) = [f for f in bundled if f.setting == "workers"]
    assert not finding.is_error
    assert not [f for f in found(tmp_path, workers=9, database_url=None) if f.setting == "workers"]


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://a:b@one.internal:1,two.internal:2/x?replicaSet=r&tls=true",
        "mongodb://db.internal/x?ssl=true",
        "mongodb+srv://a:b@cluster.internal/x",
        "mongodb://127.0.0.1:1,127.0.0.1:2/x?replicaSet=r",
    ],
)
def test_a_mongodb_that_is_reached_safely(tmp_path: Path, url: str) -> None:
    assert found(tmp_path, database_url=url) == []


def test_signing_in_by_other_companies_goes_over_tls(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    provider = {"name": "office", "client_id": "id", "client_secret": "word"}
    found_in = {
        finding.setting: finding.is_error
        for finding in found(
            tmp_path,
            oidc_providers=[{**provider, "issuer": "http://127.0.0.1:8080"}],
            outside_return_urls="http://wallet.example.com/signed-in",
        )
    }
    assert found_in == {"outside_return_urls": True, "oidc_providers": False}
    safe = found(
        tmp_path,
        oidc_providers=[{**provider, "issuer": "https://id.example.com"}],
        outside_return_urls="https://wallet.example.com/signed-in",
    )
    assert safe == []
