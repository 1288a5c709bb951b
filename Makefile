# One door for every developer command; plain `make` lists them.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: help setup check test test-all test-crash connected bench bench-peers fuzz demo screenshots lock adr clean

PYTHON ?= python3
BIN := .venv/bin
CODE := $(wildcard src tests bench examples)
INSTALL := -m pip install -qq --disable-pip-version-check --no-deps
UV_VERSION := 0.13.9
SERVERS := fastapi litserve bentoml mlserver kserve ray
OUTSIDE := feast mlflow
LOCK = .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header $(ARGS)

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 13

setup: .venv/.installed ## Make .venv with exactly what the lock names (PYTHON=python3.12 picks another)

.venv/.installed: requirements/dev.lock pyproject.toml
	@$(call make-venv,.venv)
	@echo "installing requirements/dev.lock into .venv"
	@$(BIN)/python $(INSTALL) --require-hashes -r requirements/dev.lock
	@$(BIN)/python $(INSTALL) --no-build-isolation --editable .
	@touch $@

.venv-bench/.installed: requirements/bench.lock
	@$(call make-venv,.venv-bench)
	@echo "installing requirements/bench.lock into .venv-bench"
	@.venv-bench/bin/python $(INSTALL) --require-hashes -r requirements/bench.lock
	@touch $@

# A model server that bench/ measures, e.g. `make .venv-bench-ray/.installed`.
.venv-bench-%/.installed: requirements/bench-%.lock
	@$(call make-venv,.venv-bench-$*)
	@echo "installing requirements/bench-$*.lock into .venv-bench-$*"
	@.venv-bench-$*/bin/python $(INSTALL) --require-hashes -r requirements/bench-$*.lock
	@touch $@

.venv-fuzz/.installed: requirements/fuzz.lock
	@$(call make-venv,.venv-fuzz)
	@echo "installing requirements/fuzz.lock into .venv-fuzz"
	@.venv-fuzz/bin/python $(INSTALL) --require-hashes -r requirements/fuzz.lock
	@touch $@

# What features and models come from and go to, e.g. `make .venv-feast/.installed`.
.venv-feast/.installed .venv-mlflow/.installed: .venv-%/.installed: requirements/%.lock
	@$(call make-venv,.venv-$*)
	@echo "installing requirements/$*.lock into .venv-$*"
	@.venv-$*/bin/python $(INSTALL) --require-hashes -r requirements/$*.lock
	@touch $@

connected: $(OUTSIDE:%=.venv-%/.installed) ## Install the real Feast and MLflow that tests start (1.5 GB)

bench-peers: $(SERVERS:%=.venv-bench-%/.installed) ## Install the model servers that `bench serve` measures (2 GB)

# $(1): the folder. --no-deps above: the lock is the whole list, nothing may be added to it on the way.
define make-venv
command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; opsrail needs Python 3.11, 3.12 or 3.13" >&2; exit 1; }; \
$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
  echo "$(PYTHON) is $$($(PYTHON) -V 2>&1), the locks hold for Python 3.11 to 3.13; run: make setup PYTHON=python3.12" >&2; exit 1; }; \
test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
endef

check: setup ## Format, lint, types, import contracts, docs
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --config importlinter.ini --no-cache
	$(if $(wildcard tests/docs),$(BIN)/pytest -q tests/docs)

test: setup ## The fast suites; what CI runs (ARGS="tests/unit -x" narrows)
	$(BIN)/pytest -m "not crash and not slow" $(ARGS)

test-all: setup ## Every test, slow ones and crashes too
	$(BIN)/pytest $(ARGS)

test-crash: setup ## Kill a process at every named point and check what survives
	$(BIN)/pytest tests/crash $(ARGS)

bench: setup .venv-bench/.installed ## Measure against a peer (ARGS="cases --json")
	$(BIN)/python -m bench $(or $(ARGS),cases --json)

fuzz: .venv-fuzz/.installed ## Fuzz every parser for 60 s (ARGS="--seconds 10 body")
	PYTHONPATH=src .venv-fuzz/bin/python -m tests.fuzz $(ARGS)

demo: setup ## Run the whole loop on this machine (ARGS="--cases 50 --no-serve")
	$(BIN)/opsrail demo $(ARGS)

screenshots: setup ## Picture every page of the console into build/screenshots (ARGS=--renew runs the demo anew)
	$(BIN)/python -m tests.browser.screenshots $(ARGS)

lock: ## Write requirements/*.lock anew (ARGS=--upgrade takes newer versions)
	@$(call make-venv,.venv-lock)
	@.venv-lock/bin/python $(INSTALL) uv==$(UV_VERSION)
	$(LOCK) pyproject.toml --all-extras --group test --group build --output-file requirements/dev.lock
	$(LOCK) --group bench --output-file requirements/bench.lock
	$(LOCK) pyproject.toml --group fuzz --output-file requirements/fuzz.lock
	@for one in $(SERVERS:%=bench-%) $(OUTSIDE); do $(LOCK) --group $$one --output-file requirements/$$one.lock; done

adr: ## Start a decision record (NAME=why-we-did-it)
	@test -n "$(NAME)" || { echo 'a record needs a name; run: make adr NAME=why-we-did-it' >&2; exit 1; }
	@last=$$(ls docs/adr | sed -nE 's/^([0-9]{4})-.*/\1/p' | sort | tail -1); \
	number=$$(printf '%04d' $$((10#$$last + 1))); path="docs/adr/$$number-$(NAME).md"; \
	sed -e "s/NUMBER/$$number/" -e "s/DATE/$$(date -u +%F)/" docs/adr/0000-template.md > "$$path"; echo "$$path"

clean: ## Remove environments, caches and reports
	rm -rf .venv .venv-bench .venv-bench-* .venv-feast .venv-fuzz .venv-lock .venv-mlflow .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
