"""The code base keeps its own rules."""

import pytest

from tests.tidy import rules, whole
from tests.tidy.source import ROOT, files, modules, text_files


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rule(rule: rules.Rule) -> None:
    findings = [
        f"{module.path}:{line}: {what}" for module in modules() for line, what in rule(module)
    ]

    assert not findings, _report(rule.__doc__, findings)


def test_the_list_of_long_files_only_shrinks() -> None:
    lengths = {module.path: len(module.lines) for module in modules()}
    stale = [
        path
        for path, (limit, reason) in rules.LONG_FILES.items()
        if not reason or not rules.FILE_LINES < lengths.get(path, 0) <= limit
    ]

    assert not stale, f"take these from LONG_FILES: {stale}"


def test_error_codes_are_unique() -> None:
    findings = list(whole.codes_are_unique(whole.error_classes(modules())))

    assert not findings, _report(whole.codes_are_unique.__doc__, findings)


def test_errors_are_documented() -> None:
    findings = list(whole.errors_are_documented(whole.error_classes(modules())))

    assert not findings, _report(whole.errors_are_documented.__doc__, findings)


def test_errors_are_tested() -> None:
    tests = {path: text for path, text in text_files().items() if path.startswith("tests/")}
    findings = list(whole.errors_are_tested(whole.error_classes(modules()), tests))

    assert not findings, _report(whole.errors_are_tested.__doc__, findings)


def test_nothing_is_put_off() -> None:
    findings = list(whole.nothing_is_put_off(text_files()))

    assert not findings, _report(whole.nothing_is_put_off.__doc__, findings)


def test_no_machine_is_named() -> None:
    findings = list(whole.no_machine_is_named(text_files()))

    assert not findings, _report(whole.no_machine_is_named.__doc__, findings)


def test_files_are_small() -> None:
    sizes = {path: (ROOT / path).stat().st_size for path in files()}
    findings = list(whole.files_are_small(sizes))

    assert not findings, _report(whole.files_are_small.__doc__, findings)


def _report(why: str | None, findings: list[str]) -> str:
    return "\n".join([why or "", *findings])
