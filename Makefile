# make demo: see it work.  make test: everything that must hold.  make bench: how fast it is.
# Each sets up what it needs in .venv; the second time that takes no time.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CHECKOV := .venv-checkov

.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

$(READY): pyproject.toml
	@echo "setting up $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit("Shoal needs Python 3.11 or newer; set PYTHON=...") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

demo: $(READY)  ## the whole story in a minute, on this machine
	@$(BIN)/shoal demo

test: check  ## lint, types, import layers, templates, and all tests
	$(BIN)/python -m pytest -n 4

check: $(READY) lint-infra site  ## formatting, lint, types, import layers, templates, documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# checkov wants an older `packaging` than pytest does, so it lives by itself. It is asked to fetch
# nothing; below ERROR it only says that it can't read policies which are written as text.
lint-infra: $(CHECKOV)/.ready
	@LOG_LEVEL=ERROR $(CHECKOV)/bin/checkov --directory infra --framework cloudformation \
	    --quiet --compact --download-external-modules false --skip-download </dev/null

$(CHECKOV)/.ready:
	@echo "setting up $(CHECKOV)"
	@test -x $(CHECKOV)/bin/python || $(PYTHON) -m venv $(CHECKOV)
	@$(CHECKOV)/bin/python -m pip install --quiet --disable-pip-version-check 'checkov>=3.2'
	@touch $@

format: $(READY)  ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## speed beside other schedulers, on this machine
	$(BIN)/python bench/run.py

bundle: $(READY)  ## what Lambda runs, in build/functions: for other tools than shoal deploy
	$(BIN)/python -m shoal.aws.bundle build/functions

docs: $(READY)  ## generate the parts of docs/ that come from the code
	$(BIN)/python docs/generate.py

site: $(READY)  ## the documentation as a site, in build/site; a broken link is an error
	@$(BIN)/zensical build --clean --strict

clean:  ## remove what the above made
	rm -rf $(VENV) $(CHECKOV) build bench/.venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis .cache

.PHONY: help demo test check lint-infra format bench bundle docs site clean
