"""The programs of docs/concepts/ledger.md do what it says. (The proof: tests/integration.)"""

from tests.support.ledger_page import blocks, run, snippet


def test_the_worked_example_prints_what_the_page_says() -> None:
    (program, printed), *_ = blocks()
    assert run(program) == printed != ""


def test_a_proof_is_checked_in_few_lines() -> None:
    assert len(snippet("proof").splitlines()) <= 24
