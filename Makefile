# `make check` is the quick half, `make test` everything there is.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.installed

export UV_PYTHON_DOWNLOADS = never

.PHONY: help test check static unit format crds requirements clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

## make test       everything: static checks and all tests
test: static
	$(BIN)/python -m pytest

## make check      the quick half: format, lint, types, imports, unit tests
check: static unit

static: $(STAMP)
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports >/dev/null || $(BIN)/lint-imports

unit: $(STAMP)
	@$(BIN)/python -m pytest -q -m "not e2e" --no-header

## make format     let ruff write the format
format: $(STAMP)
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

## make crds       write manifests/crds anew from the models
crds: $(STAMP)
	@$(BIN)/python manifests/crds.py manifests/crds

## make requirements  write the hashed requirement files anew
requirements: $(STAMP)
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras --no-emit-index-url --all-extras pyproject.toml -o requirements/run.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras --no-emit-index-url --all-extras --group dev pyproject.toml requirements/build.in -o requirements/dev.txt

clean:
	rm -rf $(VENV) dist site
