"""`guilder demo` is right when Guilder is, says so when it is not, and leaves nothing behind."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx2
import pytest

from guilder.cli.demo.server import TemporaryGuilder

DEMO = [sys.executable, "-m", "guilder.cli", "demo"]
_HOP_BY_HOP = {"connection", "content-length", "date", "host", "server", "transfer-encoding"}


class OffByOne(BaseHTTPRequestHandler):
    """Passes everything on to a Guilder, but adds one cent to the balance of every wallet read."""

    target: httpx2.Client

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
        answer = self.target.request(self.command, self.path, content=body, headers=headers)
        content = answer.content
        if self.path == "/v1/wallet":
            wallet = json.loads(content)
            content = json.dumps(wallet | {"balance": wallet["balance"] + 1}).encode()
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def off_by_one(guilder: TemporaryGuilder) -> Iterator[str]:
    with httpx2.Client(base_url=guilder.url, timeout=20.0, trust_env=False) as target:
        handler = type("Handler", (OffByOne,), {"target": target})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = Thread(target=server.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()


def _play(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *options], capture_output=True, text=True, timeout=120, check=False
    )


def _directory(output: str) -> Path:
    found = re.search(r"of its own in\s+(\S+)", output)
    assert found, output
    return Path(found[1])


def test_every_number_is_right_and_nothing_is_left() -> None:
    played = _play()
    assert played.returncode == 0, played.stdout + played.stderr
    assert re.search(r"All \d+ numbers are right\.", played.stdout)
    assert "OFF" not in played.stdout
    assert not _directory(played.stdout).exists()


def test_it_plays_against_a_running_guilder(guilder: TemporaryGuilder) -> None:
    played = _play("--url", guilder.url)
    assert played.returncode == 0, played.stdout + played.stderr


def test_a_cent_too_much_is_noticed(off_by_one: str) -> None:
    played = _play("--url", off_by_one)
    assert played.returncode == 1, played.stdout + played.stderr
    assert "Buyer has: expected 75.00 USD, but got 75.01 USD" in played.stdout
    assert "numbers are off" in played.stdout


def test_nobody_at_the_url_is_said_in_a_sentence() -> None:
    played = _play("--url", "http://127.0.0.1:9")
    assert played.returncode == 1
    assert "does not answer" in played.stderr
    assert "Traceback" not in played.stderr


@pytest.mark.parametrize(
    ("sent", "code", "moment"),
    [(signal.SIGINT, 130, "listens on"), (signal.SIGTERM, 143, "of its own in")],
)
def test_stopping_it_leaves_nothing_behind(sent: signal.Signals, code: int, moment: str) -> None:
    # -u, so that its first line is here before it is waited for.
    command = [sys.executable, "-u", *DEMO[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        seen = ""
        while moment not in seen:
            line = demo.stdout.readline()
            assert line, seen
            seen += line
        for _ in range(3):  # An impatient person; `timeout` sends two as well.
            demo.send_signal(sent)
        demo.stdout.read()
        assert demo.wait(60) == code
    directory = _directory(seen)
    assert not directory.exists()
    assert str(directory) not in _commands()


def _commands() -> str:
    """Return the command lines of all processes of this machine."""
    lines = [path.read_bytes() for path in _readable(Path("/proc").glob("[0-9]*/cmdline"))]
    return b"\n".join(lines).replace(b"\0", b" ").decode(errors="replace")


def _readable(paths: Iterator[Path]) -> Iterator[Path]:
    for path in paths:
        try:
            path.read_bytes()
        except OSError:
            continue
        yield path
