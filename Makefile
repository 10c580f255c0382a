# Everything a newcomer, a developer or CI runs. `make` alone prints this help.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help run demo test browser faults check lint types contracts mutants bench bench-big lock clean

help: ## Show this help.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## Start Guilder on its bundled PostgreSQL, ready to use.
	@$(BIN)/guilder serve

demo: $(READY) ## Play a story with two people over real HTTP and check every number.
	@$(BIN)/guilder demo

test: $(READY) browser ## Run the whole test suite: in two processes, and then what measures time alone.
	@$(BIN)/pytest -n 2 --dist worksteal -m "not alone"
	@$(BIN)/pytest -m alone

browser: ## Chromium, for the tests with pages: root gets Debian's, others are told.
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& echo "Installing Debian's chromium for the tests in a browser." \
		&& apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends chromium >/dev/null; } \
		|| echo "No chromium: tests in a browser are skipped. On Debian: apt-get install chromium" >&2

faults: $(READY) ## The fault tests with every kill and cut, the races with every round: two hours.
	@GUILDER_TEST_PRIMARY_KILLS=30 GUILDER_TEST_BANK_KILLS=60 GUILDER_TEST_COMMIT_CUTS=200 \
		GUILDER_TEST_HTTP_KILLS=78 GUILDER_TEST_RACE_ROUNDS=200 $(BIN)/pytest tests/faults tests/races

mutants: $(READY) ## Change the deciding code in every small way; tests must notice (20 minutes).
	@$(BIN)/mutmut run
	@$(BIN)/mutmut results

check: lint types contracts test ## Everything CI runs: lint, types, import contracts, tests.

lint: $(READY) ## Formatting and lint rules.
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(READY) ## mypy, strict.
	@$(BIN)/mypy

contracts: $(READY) ## Which package may import which.
	@$(BIN)/lint-imports

bench: $(READY) ## Print one JSON line per figure, beside pgbench on the same server.
	@$(BIN)/python -m benchmarks

bench-big: $(READY) ## Read books of 5,000,000 transfers: the figures of `bench` that grow.
	@$(BIN)/python -m benchmarks reads --big

lock: $(READY) ## Resolve the dependencies again, with hashes.
	@$(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --no-header --quiet -o requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-header --quiet -o requirements-dev.lock

clean: ## Remove what the other targets made, except data.
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage mutants

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Guilder needs Python 3.11 or later; name one with: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python has no working venv module. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements-dev.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@
