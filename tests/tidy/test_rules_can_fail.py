"""Each tidy rule is fed what it must find and what it must let pass: that it can fail at all."""

import pytest

from tests.tidy import rules, whole
from tests.tidy.source import Module

# Rule, path, what is wrong.
BAD = [
    (rules.functions_are_short, "tests/x.py", "def f() -> None:\n" + "    g()\n" * 70),
    (rules.files_are_short, "src/guilder/x.py", "x = 1\n" * 401),
    (rules.parameters_are_named, "src/guilder/x.py", "def f(a, b, c, d, e, g): ..."),
    (rules.one_clock, "src/guilder/x.py", "from datetime import datetime\ndatetime.now()"),
    (rules.one_clock, "src/guilder/x.py", "import datetime as dt\ndt.datetime.utcnow()"),
    (rules.one_clock, "src/guilder/x.py", "from time import time as t\nclock = t"),
    (rules.one_clock, "src/guilder/kernel/ids.py", "import time\ntime.time_ns()"),
    (rules.money_is_whole, "src/guilder/ledger/x.py", "amount = float(text)"),
    (rules.money_is_whole, "src/guilder/wallets/x.py", "fee = 0.5"),
    (rules.money_is_whole, "src/guilder/payouts/x.py", "def f(amount: float) -> None: ..."),
    (rules.money_is_whole, "src/guilder/payments/x.py", "def f(s, fee=0.1): ..."),
    (rules.money_is_whole, "src/guilder/payments/x.py", "def f(*, fee=0.1, time_s=1): ..."),
    (rules.money_is_whole, "src/guilder/payments/x.py", "def fee() -> float: ..."),
    (rules.money_is_whole, "src/guilder/storage/x.py", "amount = round(amount, 2)"),
    (rules.money_is_whole, "src/guilder/kernel/money.py", "share = amount / 3"),
    (rules.no_dice, "src/guilder/x.py", "import random"),
    (rules.no_dice, "src/guilder/x.py", "from random import choice"),
    (rules.sql_is_constant, "src/guilder/x.py", 'c.execute(f"SELECT {x}")'),
    (rules.sql_is_constant, "src/guilder/x.py", 'c.fetch("SELECT " + x)'),
    (rules.sql_is_constant, "src/guilder/x.py", 'c.fetchrow("SELECT " + x + " FROM y")'),
    (rules.sql_is_constant, "src/guilder/x.py", 'c.fetchval("SELECT %s" % x)'),
    (rules.sql_is_constant, "src/guilder/x.py", 'c.executemany("SELECT {}".format(x), y)'),
    (rules.sql_is_constant, "src/guilder/x.py", 'sql = f"DELETE FROM a WHERE b = {x}"'),
    (rules.sql_is_constant, "src/guilder/x.py", "# sql: ours\ny = 1\nz = f'DELETE FROM {x}'"),
    (rules.no_assert, "src/guilder/x.py", "assert paid"),
    (rules.one_reader_of_the_environment, "src/guilder/x.py", "import os\nos.environ['A']"),
    (rules.one_reader_of_the_environment, "src/guilder/x.py", "from os import getenv\ngetenv('A')"),
    (rules.secrets_take_equal_time, "src/guilder/x.py", "given == signature"),
    (rules.secrets_take_equal_time, "src/guilder/x.py", "user.password_hash != other"),
    (rules.secrets_take_equal_time, "src/guilder/x.py", "headers['X-Api-Key'] == key"),
    (rules.secrets_take_equal_time, "src/guilder/x.py", "hmac.new(a, b, c).hexdigest() == given"),
    (rules.secrets_take_equal_time, "src/guilder/x.py", "config.key.get_secret_value() == given"),
    (rules.connections_are_verified, "tests/x.py", "httpx2.get(url, verify=False)"),
    (rules.connections_are_verified, "src/guilder/x.py", "context.check_hostname = False"),
    (rules.connections_are_verified, "src/guilder/x.py", "import ssl\nmode = ssl.CERT_NONE"),
    (rules.calls_out_end, "src/guilder/x.py", "import httpx2\nhttpx2.AsyncClient()"),
    (rules.calls_out_end, "src/guilder/x.py", "from httpx2 import Client\nClient(timeout=None)"),
    (rules.no_print, "src/guilder/x.py", "print(1)"),
    (rules.public_names_are_documented, "src/guilder/x.py", "x = 1"),
    (rules.public_names_are_documented, "src/guilder/x.py", '"""X."""\ndef f() -> None: ...'),
    (rules.public_names_are_documented, "src/guilder/x.py", '"""X."""\nclass A: ...'),
    (
        rules.public_names_are_documented,
        "src/guilder/x.py",
        '"""X."""\nclass A:\n    """A."""\n    def f(self) -> None: ...',
    ),
    (rules.results_are_annotated, "tests/x.py", "async def test_x(): ..."),
]

# Rule, path, what is right although it looks alike.
GOOD = [
    (rules.functions_are_short, "tests/x.py", "def f() -> None:\n" + "    g()\n" * 69),
    (rules.files_are_short, "src/guilder/x.py", "x = 1\n" * 400),
    (rules.parameters_are_named, "src/guilder/x.py", "def f(self, a, b, c, d, e, *, g, h): ..."),
    (rules.parameters_are_named, "tests/x.py", "def f(a, b, c, d, e, g): ..."),
    (rules.one_clock, "src/guilder/kernel/clock.py", "import time\ntime.time()"),
    (rules.one_clock, "src/guilder/x.py", "import time\ntime.monotonic(), batch.now"),
    (rules.one_clock, "tests/x.py", "import time\ntime.time()"),
    (rules.money_is_whole, "src/guilder/ledger/x.py", "await asyncio.sleep(0.5)"),
    (rules.money_is_whole, "src/guilder/ledger/x.py", "def f(*, a=1, pause_s: float = 0.5): ..."),
    (rules.money_is_whole, "src/guilder/ledger/x.py", "def f(pause_s=0.5): ..."),
    (rules.money_is_whole, "src/guilder/ledger/x.py", "PAUSE_S = 0.5\nself.wait(timeout=1.5)"),
    (rules.money_is_whole, "src/guilder/ledger/x.py", "def waited_s() -> float: ..."),
    (rules.money_is_whole, "src/guilder/ledger/x.py", "wait_for(event, every_ms / 1000)"),
    (rules.money_is_whole, "src/guilder/storage/x.py", "path = directory / 'data'"),
    (rules.money_is_whole, "src/guilder/identity/x.py", "score = 0.5"),
    (rules.no_dice, "src/guilder/x.py", "import secrets"),
    (rules.no_dice, "tests/x.py", "import random"),
    (rules.sql_is_constant, "src/guilder/x.py", 'c.execute("SELECT $1", x)'),
    (rules.sql_is_constant, "src/guilder/x.py", 'c.execute("SELECT " "1" + " FROM x")'),
    (rules.sql_is_constant, "src/guilder/x.py", 'c.execute(f"CREATE SCHEMA {SCHEMA}")'),
    (rules.sql_is_constant, "src/guilder/x.py", 'c.execute("CREATE SCHEMA " + SCHEMA)'),
    (rules.sql_is_constant, "src/guilder/x.py", 'c.execute(f"DROP {x}")  # sql: ours, x'),
    (rules.sql_is_constant, "src/guilder/x.py", '# sql: ours, x\nc.execute(\n    f"DROP {x}"\n)'),
    (rules.sql_is_constant, "src/guilder/x.py", 'class A:  # sql: ours, x\n    y = f"DROP {x}"'),
    (rules.sql_is_constant, "src/guilder/x.py", 'log.info(f"selected {x}")'),
    (rules.no_assert, "tests/x.py", "assert paid"),
    (rules.one_reader_of_the_environment, "src/guilder/settings.py", "import os\nos.environ"),
    (rules.secrets_take_equal_time, "src/guilder/x.py", "token == '' or kind_of_token == BEARER"),
    (rules.secrets_take_equal_time, "src/guilder/x.py", "hmac.compare_digest(given, signature)"),
    (rules.secrets_take_equal_time, "src/guilder/x.py", "token is None or machine == other"),
    (rules.secrets_take_equal_time, "src/guilder/ledger/x.py", "transfer.hash == expected"),
    (rules.connections_are_verified, "src/guilder/x.py", "httpx2.get(url, verify=context)"),
    (rules.calls_out_end, "src/guilder/x.py", "import httpx2\nhttpx2.AsyncClient(timeout=limits)"),
    (rules.no_print, "src/guilder/cli/x.py", "print(1)"),
    (rules.public_names_are_documented, "tests/x.py", "def f() -> None: ..."),
    (
        rules.public_names_are_documented,
        "src/guilder/x.py",
        '"""X."""\ndef _f() -> None: ...\nclass _A:\n    def f(self) -> None: ...',
    ),
    (rules.results_are_annotated, "tests/x.py", "def test_x() -> None: ..."),
]

# In parts, so that this file does not break the rule it tests.
LATER = "TO" + "DO"
NEVER = "FIX" + "ME"

ERRORS = '''
class GuilderError(Exception):
    """Root."""
    code = "internal"
    kind = 0
class Unavailable(GuilderError):
    """Rule."""
    code = "unavailable"
    kind = 1
class Lost(errors.Unavailable):
    """Rule."""
class Full(Unavailable):
    """Rule."""
    code = "full"
class Internal(GuilderError):
    """Rule."""
    code = "internal"
    kind = 0
'''


def name_of(sample: object) -> str:
    return getattr(sample, "__name__", "")


@pytest.mark.parametrize(("rule", "path", "text"), BAD, ids=name_of)
def test_a_rule_finds_what_breaks_it(rule: rules.Rule, path: str, text: str) -> None:
    findings = list(rule(Module(path, text)))

    assert len(findings) == 1, findings
    assert findings[0][0] >= 1
    assert findings[0][1]


@pytest.mark.parametrize(("rule", "path", "text"), GOOD, ids=name_of)
def test_a_rule_lets_pass_what_keeps_it(rule: rules.Rule, path: str, text: str) -> None:
    assert not list(rule(Module(path, text)))


def test_every_rule_says_why_and_can_fail() -> None:
    assert {rule for rule, _, _ in BAD} == {rule for rule, _, _ in GOOD} == set(rules.RULES)
    assert all(rule.__doc__ for rule in rules.RULES)


def errors(*texts: str) -> list[whole.ErrorClass]:
    return whole.error_classes([Module("src/guilder/x.py", text) for text in texts])


def test_good_errors_pass() -> None:
    found = errors(ERRORS)

    assert [error.name for error in found] == [
        "GuilderError",
        "Unavailable",
        "Lost",
        "Full",
        "Internal",
    ]
    assert not list(whole.codes_are_unique(found))
    assert not list(whole.errors_are_documented(found))
    assert not list(whole.errors_are_tested(found, {"x": 'Unavailable Lost "full" Internal'}))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('class A(Lost):\n    """A."""\n    code = "full"', "is the code of Full already"),
        ('class A(Lost):\n    """A."""\n    code = "NotFull"', "snake_case"),
        ('class A(Lost):\n    code: ClassVar[str] = "full"', "is the code of Full already"),
    ],
)
def test_a_code_used_twice_is_found(text: str, what: str) -> None:
    findings = list(whole.codes_are_unique(errors(ERRORS, text)))

    assert len(findings) == 1
    assert what in findings[0]


@pytest.mark.parametrize(
    "text", ["class A(Lost): ...", 'class A(GuilderError):\n    """A."""\n    code = "a"']
)
def test_an_error_without_its_rule_or_kind_is_found(text: str) -> None:
    assert len(list(whole.errors_are_documented(errors(ERRORS, text)))) == 1


def test_an_error_that_no_test_names_is_found() -> None:
    findings = list(whole.errors_are_tested(errors(ERRORS), {"x": "Unavailable Lost Internal"}))

    assert len(findings) == 1
    assert "Full" in findings[0]


@pytest.mark.parametrize("text", [f"# {LATER} x", f"# {LATER}(me): x", NEVER, f"a {NEVER}: x"])
def test_what_is_put_off_is_found(text: str) -> None:
    assert len(list(whole.nothing_is_put_off({"x": text}))) == 1


def test_what_has_an_issue_may_be_put_off() -> None:
    text = f"# {LATER}(issue 12): later; todos in Toledo"

    assert not list(whole.nothing_is_put_off({"x": text}))


@pytest.mark.parametrize(
    "text", ["%root/x", 'cd "%work/main"', "at %farm", "%home/someone/x", "%Users/x"]
)
def test_a_path_of_one_machine_is_found(text: str) -> None:
    assert len(list(whole.no_machine_is_named({"x": text.replace("%", "/")}))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "src%work%x",
        "https:%%x.dev%home%y",
        "~%root%x",
        "%var%lib%guilder",
        "and%root",
        "${A}%work%",
    ],
)
def test_other_paths_pass(text: str) -> None:
    assert not list(whole.no_machine_is_named({"x": text.replace("%", "/")}))


def test_a_large_file_is_found() -> None:
    assert len(list(whole.files_are_small({"a": 500_001, "b": 500_000}))) == 1
