"""The command: its exit codes, and failures said in a sentence."""

import json
import socket
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import httpx2
import pytest
from rich.console import Console

from guilder.cli import books, main
from guilder.cli.books import NoDatabase
from guilder.cli.demo.browser import press
from guilder.cli.demo.failure import StoryStopped
from guilder.cli.demo.scorecard import Scorecard
from guilder.cli.exit_codes import ExitCode
from guilder.cli.failures import explain
from guilder.cli.reference import error_classes
from guilder.kernel.errors import GuilderError
from guilder.ledger.verify import Difference, Report
from guilder.settings import Settings
from guilder.storage.errors import DatabaseInUse, StorageUnavailable, UnsafeDatabase

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command and returns exit code, output and errors."""

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(words)
        written = capsys.readouterr()
        return int(ended.value.code or 0), written.out, written.err

    return call


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_version(run: Run) -> None:
    code, out, _ = run("--version")
    assert (code, out.split()[0]) == (0, "guilder")


@pytest.mark.parametrize(
    "command",
    ["serve", "demo", "verify", "export", "import", "migrate", "openapi", "doctor"],
)
def test_every_command_is_in_the_help(run: Run, command: str) -> None:
    assert command in run("--help")[1]


def test_a_taken_port_is_named_with_its_cure(run: Run, taken_port: int) -> None:
    code, _, err = run("serve", "--port", str(taken_port))
    assert code == ExitCode.UNAVAILABLE
    assert f"Port {taken_port} on 127.0.0.1 cannot be used: address already in use." in err
    assert f"--port {taken_port + 1}" in err


def test_an_impossible_setting_is_named(run: Run) -> None:
    code, _, err = run("serve", "--port", "70000")
    assert code == ExitCode.USAGE
    assert "GUILDER_PORT" in err


def test_settings_with_secrets_are_refused_without_them(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUILDER_PEPPER", "far-too-short")
    code, _, err = run("openapi")
    assert code == ExitCode.USAGE
    assert "pepper" in err
    assert "far-too-short" not in err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("google, s3cr3t", "GUILDER_OIDC_PROVIDERS: must be JSON"),
        (
            '[{"name":"google","client_id":"s3cr3t"}]',
            "GUILDER_OIDC_PROVIDERS (0.client_secret): Field required",
        ),
        (
            '[{"name":"office","client_id":"i","client_secret":"s3cr3t"}]',
            "GUILDER_OIDC_PROVIDERS (0): office: also set issuer",
        ),
    ],
)
def test_a_provider_that_is_half_set_up_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, given: str, said: str
) -> None:
    monkeypatch.setenv("GUILDER_OIDC_PROVIDERS", given)
    code, _, err = run("doctor")
    assert code == ExitCode.USAGE
    title, fault = err.splitlines()
    assert title == "The settings are not valid."
    assert fault.strip().startswith(said)
    assert "s3cr3t" not in err
    assert "default factory" not in err


def test_a_database_that_no_engine_serves_is_refused(run: Run) -> None:
    code, _, err = run("verify", "--database-url", "mysql://127.0.0.1/guilder")
    assert code == ExitCode.USAGE
    assert "postgresql://" in err


def test_a_database_that_is_away_is_said(run: Run) -> None:
    code, _, err = run("verify", "--database-url", "postgresql://nobody@127.0.0.1:9/guilder")
    assert code == ExitCode.UNAVAILABLE
    assert "--database-url" in err


def test_verify_makes_no_database_of_its_own(run: Run, tmp_path: Path) -> None:
    code, _, err = run("verify", "--data-directory", str(tmp_path / "nothing"))
    assert code == ExitCode.UNAVAILABLE
    assert "There are no books in" in err
    assert not (tmp_path / "nothing").exists()


def test_an_unknown_option_is_a_usage_error(run: Run) -> None:
    assert run("serve", "--prot", "1")[0] == ExitCode.USAGE


def test_openapi_is_a_document_with_the_specified_paths(run: Run) -> None:
    code, out, _ = run("openapi")
    paths = json.loads(out)["paths"]
    specified = (
        "register",
        "login",
        "wallet",
        "wallet/add-funds",
        "wallet/transfer",
        "transactions",
    )
    assert code == 0
    for path in specified:
        assert {f"/{path}", f"/v1/{path}"} <= paths.keys()


def test_doctor_fails_on_an_unsafe_setting(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUILDER_SIGNING_KEY", "a" * 40)
    code, out, _ = run("doctor", "--json")
    assert code == ExitCode.WRONG
    assert "error" in {finding["severity"] for finding in json.loads(out)}
    code, out, _ = run("doctor")
    assert code == ExitCode.WRONG
    assert "signing_key" in out


WRONG = Report(
    position=4, transfers=4, accounts=3, difference=Difference(5, "the hash does not follow")
)


@pytest.mark.parametrize(("report", "code"), [(Report(), 0), (WRONG, 1)])
def test_verify_exits_by_its_report(
    run: Run, monkeypatch: pytest.MonkeyPatch, report: Report, code: int
) -> None:
    async def verify(_settings: Settings, *, since: Path | None) -> Report:
        return report

    monkeypatch.setattr(books, "verify", verify)
    assert run("verify")[0] == code
    ended, out, _ = run("verify", "--json")
    assert (ended, json.loads(out)["ok"]) == (code, code == 0)


def test_a_difference_is_told_with_its_position() -> None:
    assert "difference is at position 5: the hash does not follow." in books.as_text(WRONG)
    assert books.as_json(WRONG)["difference"] == {"position": 5, "what": "the hash does not follow"}


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DatabaseInUse("Process 12 uses it."), ExitCode.UNAVAILABLE, "Process 12 uses it."),
        (NoDatabase("There are no books here."), ExitCode.UNAVAILABLE, "no books here"),
        (StorageUnavailable(), ExitCode.UNAVAILABLE, "--database-url"),
        (UnsafeDatabase("fsync is off."), ExitCode.UNAVAILABLE, "fsync is off."),
        (StoryStopped("No [button]."), ExitCode.WRONG, "No [button]."),
        (GuilderError("No rule."), ExitCode.USAGE, "No rule."),
    ],
)
def test_expected_failures_are_explained(error: Exception, code: ExitCode, said: str) -> None:
    console = Console(file=StringIO())
    assert explain(error, console) == code
    assert isinstance(console.file, StringIO)
    assert said in console.file.getvalue()


def test_a_scorecard_counts_what_is_off() -> None:
    card = Scorecard(Console(file=StringIO()))
    card.expect_minor("right", expected=1, actual=1)
    card.expect_minor("wrong", expected=1, actual=2)
    assert (card.passed, card.failed) == (1, 1)


PAGE = """<form method="post" action="decide"><input type="hidden" name="token" value="&lt;t&gt;">
<button name="decision" value="pay"><b>Pay</b> 1.00</button><button>Leave</button></form>"""


def _browser(page: str, status: int = 200) -> tuple[httpx2.Client, list[httpx2.Request]]:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(status, html=page, request=request)

    return httpx2.Client(transport=httpx2.MockTransport(answer)), seen


def test_pressing_a_button_submits_its_form() -> None:
    browser, seen = _browser(PAGE)
    press(browser, "http://pay.example.com/checkout/1", "pay")
    assert str(seen[1].url) == "http://pay.example.com/checkout/decide"
    assert seen[1].content == b"token=%3Ct%3E&decision=pay"
    press(browser, "http://pay.example.com/checkout/1", "Leave")
    assert seen[3].content == b"token=%3Ct%3E"


@pytest.mark.parametrize(("page", "status"), [("<p>Paid.</p>", 200), (PAGE, 500)])
def test_a_page_without_the_button_stops_the_story(page: str, status: int) -> None:
    browser, _ = _browser(page, status)
    with pytest.raises(StoryStopped):
        press(browser, "http://pay.example.com/checkout/1", "Pay")


def test_error_codes_are_found_in_every_package() -> None:
    assert {"insufficient_funds", "not_found", "unauthenticated", "database_in_use"} <= set(
        error_classes()
    )
