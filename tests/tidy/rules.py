"""Rules for one Python file. Each yields what breaks it; its docstring says why it exists.

A new class of fault adds a rule here, with the incident in its docstring, and its samples in
`test_rules_can_fail.py`.
"""

import ast
import re
from collections.abc import Callable, Iterator

from tests.tidy.source import Definition, Function, Module

Finding = tuple[int, str]
"""Line and what to do instead."""

Rule = Callable[[Module], Iterator[Finding]]

FUNCTION_LINES = 70
FILE_LINES = 400
POSITIONAL_PARAMETERS = 5

LONG_FILES: dict[str, tuple[int, str]] = {}
"""Files that may be longer: path, their most lines, the reason. This list may only shrink."""

_CLOCKS = {
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "time.time",
    "time.time_ns",
    "time.localtime",
    "time.gmtime",
}
_MONEY = re.compile(r"(kernel/money|(ledger|wallets|transfers|holds|payments|payouts|storage)/)")
_NO_DIVISION = re.compile(r"(kernel/money|(ledger|wallets|transfers|holds|payments|payouts)/)")
_DURATION = re.compile(
    r"(_s|_ms|timeout|delay|seconds|interval|jitter|backoff|wait_for)$|^(timeout|sleep)",
    re.IGNORECASE,
)
_SQL_METHODS = {"execute", "executemany", "fetch", "fetchrow", "fetchval", "prepare", "cursor"}
_SQL = re.compile(
    r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|GRANT|REVOKE|WITH|COPY"
    r"|TRUNCATE)\s"
)
SQL_MARK = "# sql: ours"
_SECRET = re.compile(
    r"(^|_)(secret|token|signature|sig|password|digest|hmac|mac|pepper|otp|api_key|\w*hash)$"
)
_CLIENT = re.compile(
    r"(httpx2?\.(AsyncClient|Client|get|post|put|patch|delete|head|request|stream)"
    r"|aiohttp\.ClientSession|urllib\.request\.urlopen)$"
)
_UNVERIFIED = {"ssl.CERT_NONE", "ssl._create_unverified_context"}


def functions_are_short(module: Module) -> Iterator[Finding]:
    """A function that does not fit one screen is not read whole, and faults hide in the rest."""
    for function in module.functions():
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > FUNCTION_LINES:
            yield function.lineno, f"`{function.name}` has {length} lines; {FUNCTION_LINES} at most"


def files_are_short(module: Module) -> Iterator[Finding]:
    """A file beyond 400 lines holds more than one subject, and a newcomer cannot guess which."""
    limit = LONG_FILES.get(module.path, (FILE_LINES, ""))[0]
    if len(module.lines) > limit:
        yield 1, f"{len(module.lines)} lines; {limit} at most: split it by subject"


def parameters_are_named(module: Module) -> Iterator[Finding]:
    """Two amounts in the wrong order type-check. Beyond a few, arguments are given by name."""
    if not module.is_source:
        return
    for function in module.functions():
        given = [*function.args.posonlyargs, *function.args.args]
        count = len([each for each in given if each.arg not in {"self", "cls"}])
        if count > POSITIONAL_PARAMETERS:
            yield (
                function.lineno,
                f"`{function.name}` takes {count} by place; make them keyword-only",
            )


def one_clock(module: Module) -> Iterator[Finding]:
    """A clock read anywhere cannot be moved by a test, and two machines never agree on it."""
    if not module.is_source or module.package == "kernel/clock.py":
        return
    for node in module.nodes:
        if isinstance(node, ast.Attribute | ast.Name) and module.full_name(node) in _CLOCKS:
            yield node.lineno, "take a `Clock`, or `guilder.kernel.clock.utc_now`"


def money_is_whole(module: Module) -> Iterator[Finding]:
    """0.1 + 0.2 is not 0.3: a float in money loses a unit some day. Only durations are floats.

    A duration is a name that ends in `_s`, `timeout`, `delay`, `seconds`, `interval` or the like.
    """
    if not _MONEY.match(module.package):
        return
    for node in module.nodes:
        if isinstance(node, ast.Name) and node.id == "round":
            yield node.lineno, "`Money.split` shares without rounding; name the rounding otherwise"
        elif _is_float(node) and not _is_duration(module, node):
            yield _line(node), "an int of minor units, `Money`, or `Decimal` for a rate"
        elif (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Div)
            and _NO_DIVISION.match(module.package)
            and not _is_duration(module, node)
        ):
            yield node.lineno, "`/` makes a float: `Money.split`, or `//` if the loss is meant"


def _is_float(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is float
    return isinstance(node, ast.Name) and node.id == "float"


def _is_duration(module: Module, node: ast.AST) -> bool:
    within = (module.full_name(each) for each in ast.walk(node))
    return any(_DURATION.search(name) for name in (*within, *_names_around(module, node)))


def _names_around(module: Module, node: ast.AST) -> Iterator[str]:
    """Return the names that a value is given to, up to its statement."""
    for outer in module.ancestors(node):
        match outer:
            case ast.keyword(arg=str(name)) | ast.arg(arg=name):
                yield name
            case ast.Call(func=func):
                yield module.full_name(func).rpartition(".")[2]
            case ast.AnnAssign(target=target) | ast.Assign(targets=[target]):
                yield ast.unparse(target)
            case ast.arguments():
                yield from _parameter_of(outer, node)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name if outer.returns is node else ""
            case _:
                pass
        if isinstance(outer, ast.stmt):
            return


def _parameter_of(arguments: ast.arguments, default: ast.AST) -> Iterator[str]:
    by_place = [*arguments.posonlyargs, *arguments.args][-len(arguments.defaults) or None :]
    pairs = [
        *zip(by_place, arguments.defaults, strict=False),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return (parameter.arg for parameter, value in pairs if value is default)


def no_dice(module: Module) -> Iterator[Finding]:
    """`random` can be foretold, so it makes no token; and no test can repeat what drew a lot."""
    if not module.is_source:
        return
    for node in module.nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if "random" in names or getattr(node, "module", None) == "random":
                yield node.lineno, "`secrets` for a secret; otherwise take the draw as an argument"


def sql_is_constant(module: Module) -> Iterator[Finding]:
    """A value formatted into SQL is an injection: values go as parameters.

    Constants in capitals may be formatted. Where other names of our own have to be, such as a
    schema's, the statement, its function or its class is marked, and the mark says whose they are.
    """
    if not module.is_source:
        return
    found = set()
    for node in module.nodes:
        given = node
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            given = node.args[0] if node.func.attr in _SQL_METHODS else node
        suspect = _is_formatted(given) and (given is not node or _SQL.match(_leading_text(node)))
        if suspect and not _is_marked(module, node):
            found.add(_line(given))
    for line in sorted(found):
        yield line, f"pass the value as a parameter, or mark it `{SQL_MARK}, ...`"


def _is_formatted(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr(values=values):
            formatted = [each.value for each in values if isinstance(each, ast.FormattedValue)]
            return not all(_is_capital(each) for each in formatted)
        case ast.BinOp(left=left, op=ast.Mod()):
            return _is_text(left)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            operands = [each for each in (left, right) if not _is_capital(each)]
            constant = all(_is_text(each) for each in operands)
            return not constant and any(_is_text(each) or _is_formatted(each) for each in operands)
        case ast.Call(func=ast.Attribute(value=value, attr="format")):
            return _is_text(value)
    return False


def _is_capital(node: ast.AST) -> bool:
    return isinstance(node, ast.Name | ast.Attribute) and _last_part(node).isupper()


def _last_part(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _leading_text(node: ast.AST) -> str:
    first = next((each for each in ast.walk(node) if _is_text(each)), None)
    return str(first.value) if isinstance(first, ast.Constant) else ""


def _is_marked(module: Module, node: ast.AST) -> bool:
    """Tell whether the statement, or the line above it or above a block around it, has the mark."""
    around = [each for each in (node, *module.ancestors(node)) if isinstance(each, ast.stmt)]
    last = getattr(around[0], "end_lineno", 0)
    spans = [(_line(around[0]), last), *((_line(each), _line(each)) for each in around)]
    return any(
        SQL_MARK in line for first, last in spans for line in module.lines[max(first - 2, 0) : last]
    )


def no_assert(module: Module) -> Iterator[Finding]:
    """`python -O` removes `assert`, and the promise with it."""
    if not module.is_source:
        return
    for node in module.nodes:
        if isinstance(node, ast.Assert):
            yield node.lineno, "`guilder.kernel.errors.check`"


def one_reader_of_the_environment(module: Module) -> Iterator[Finding]:
    """A setting that is read where it is used is documented nowhere and checked by nobody."""
    if not module.is_source or re.match(r"settings(\.py|/)", module.package):
        return
    for node in module.nodes:
        if isinstance(node, ast.Attribute | ast.Name) and module.full_name(node) in {
            "os.environ",
            "os.environb",
            "os.getenv",
        }:
            yield node.lineno, "a field of `guilder.settings.Settings`, passed in"


def secrets_take_equal_time(module: Module) -> Iterator[Finding]:
    """`==` stops at the first difference, and the time it takes tells where that was.

    Constants, in capitals or literal, are no secrets. The hash chain of the books is public and
    may be compared: `ledger` and `storage` are left out.
    """
    if not module.is_source or module.package.startswith(("ledger/", "storage/")):
        return
    for node in module.nodes:
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            sides = [node.left, *node.comparators]
            constant = any(isinstance(side, ast.Constant) or _is_capital(side) for side in sides)
            if not constant and any(_SECRET.search(_last_name(side)) for side in sides):
                yield node.lineno, "`hmac.compare_digest`"


def _last_name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.lower()
        case ast.Call(func=ast.Attribute(value=value, attr="get_secret_value")):
            return f"{_last_name(value)}_secret"
        case ast.Call(func=func):
            return _last_name(func).replace("hexdigest", "digest")
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name.lower().replace("-", "_")
    return ""


def connections_are_verified(module: Module) -> Iterator[Finding]:
    """TLS that is not verified is no TLS: whoever stands between reads the card token."""
    for node in module.nodes:
        match node:
            case ast.keyword(arg="verify" | "verify_ssl", value=ast.Constant(value=False)):
                yield node.value.lineno, "leave verification on; name a CA file if it is your own"
            case ast.Assign(
                targets=[ast.Attribute(attr="check_hostname")], value=ast.Constant(value=False)
            ):
                yield node.lineno, "leave the host name check on"
            case ast.Attribute() | ast.Name() if module.full_name(node) in _UNVERIFIED:
                yield node.lineno, "`ssl.create_default_context()`"
            case _:
                pass


def calls_out_end(module: Module) -> Iterator[Finding]:
    """A call without a time-out waits for a dead gateway as long as the process lives."""
    if not module.is_source:
        return
    for node, name in module.calls():
        if _CLIENT.match(name):
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            timeout = given.get("timeout")
            if timeout is None or (isinstance(timeout, ast.Constant) and timeout.value is None):
                yield node.lineno, "`timeout=httpx2.Timeout(...)` with every part of it"


def no_print(module: Module) -> Iterator[Finding]:
    """What a server prints has no level, no request id and no redaction."""
    if not module.is_source or re.match(r"(cli|demo)(\.py|/)", module.package):
        return
    for node, name in module.calls():
        if name == "print":
            yield node.lineno, "`structlog.get_logger()`"


def public_names_are_documented(module: Module) -> Iterator[Finding]:
    """The docstring is the contract: what has none promises nothing, and is relied on anyway."""
    if not module.is_source:
        return
    if not ast.get_docstring(module.tree):
        yield 1, "a docstring of one paragraph: what the module owns"
    for node in module.nodes:
        if (
            isinstance(node, Definition)
            and _is_public(module, node)
            and not ast.get_docstring(node)
        ):
            yield node.lineno, f"a docstring for `{node.name}`"


def _is_public(module: Module, node: Definition) -> bool:
    if any("overload" in ast.unparse(each) for each in node.decorator_list):
        return False
    around = list(module.ancestors(node))
    if any(isinstance(outer, Function) for outer in around):
        return False
    names = [node.name, *(outer.name for outer in around if isinstance(outer, ast.ClassDef))]
    return not any(name.startswith("_") for name in names)


def results_are_annotated(module: Module) -> Iterator[Finding]:
    """Without a return annotation mypy takes a function for untyped, and stops looking."""
    for function in module.functions():
        if function.returns is None:
            yield function.lineno, f"`{function.name}` says what it returns"


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 1))


RULES: tuple[Rule, ...] = (
    functions_are_short,
    files_are_short,
    parameters_are_named,
    one_clock,
    money_is_whole,
    no_dice,
    sql_is_constant,
    no_assert,
    one_reader_of_the_environment,
    secrets_take_equal_time,
    connections_are_verified,
    calls_out_end,
    no_print,
    public_names_are_documented,
    results_are_annotated,
)
