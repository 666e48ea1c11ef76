# `make check` is the quick half, `make test` everything there is.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.installed
# What `make run` needs, apart from the rest: it is there in seconds.
TRY     = $(VENV)/try

export UV_PYTHON_DOWNLOADS = never
# Where it is set, every process compiles all of it anew, each test and each daemon that a test starts.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help test check static unit format crds docs screenshot requirements run demo servers kerberos controlplane vault bench soak clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt pyproject.toml
	@echo "making $(VENV), once: some minutes where nothing is cached" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(TRY)/.installed: requirements/try.sh requirements/try.txt requirements/uv.txt pyproject.toml
	@requirements/try.sh $(TRY) $(PYTHON)
	@touch $@

MANIFESTS ?= manifests/demo manifests/samples/cron.yaml

## make run        watch it work, with nothing but Python: a cluster in one process; FOR=90s ends by itself
run: $(TRY)/.installed
	@$(TRY)/bin/keda-py dev --run-processes --hpa-sync 5s $(if $(FOR),--for $(FOR)) $(if $(PORT),--port $(PORT)) $(MANIFESTS)

## make demo       the same on a real control plane, with a Prometheus; builds it once, some minutes
demo: $(STAMP) servers
	@$(BIN)/python -m tests.demo

## make test       everything: static checks and all tests
test: static servers kerberos controlplane vault
	@$(BIN)/python -m pytest -q tests/decide -m "not e2e" --cov=keda_py.decide --cov-branch --cov-report= --cov-fail-under=100
	$(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder

# Real servers for tests, from the system's packages: each program, and the package that has it.
servers:
	@missing=""; for pair in prometheus:prometheus rabbitmq-server:rabbitmq-server java:default-jre-headless mvn:maven \
	    krb5kdc:krb5-kdc kadmin.local:krb5-admin-server krb5-config:libkrb5-dev cc:build-essential; do \
	  PATH="$$PATH:/usr/sbin" command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair#*:}"; done; \
	[ -z "$$missing" ] || { echo "installing$$missing"; [ "$$(id -u)" = 0 ] || SUDO=sudo; \
	  $$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends $$missing \
	    >/dev/null; }

# Not in dev.txt: compiled against MIT Kerberos, which `make check` does without.
kerberos: $(STAMP) servers
	@$(BIN)/python -c "import gssapi" 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes --no-build-isolation -r requirements/kerberos.txt

controlplane: $(STAMP)
	@$(BIN)/python -m tests.controlplane build >/dev/null

vault: $(STAMP)
	@$(BIN)/python -m tests.vault >/dev/null

## make bench      measure it, on a real control plane and with real brokers: what docs/performance.md shows
bench: $(STAMP) servers controlplane
	@$(BIN)/python -m tests.bench
	@for part in kafka rabbitmq sqs jobs webhook scenarios; do $(BIN)/python -m tests.bench.$$part || exit 1; done

## make soak       play SEEDS=100000 scenarios on all cores, to the first that fails
soak: $(STAMP)
	@$(BIN)/python -m tests.scenarios.soak $(or $(SEEDS),100000) $(or $(FIRST),0)

## make check      the quick half: format, lint, types, imports, unit tests
check: static unit

static: $(STAMP)
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports >/dev/null || $(BIN)/lint-imports

unit: $(STAMP)
	@$(BIN)/python -m pytest -q -m "not e2e" --no-header -n 2

## make format     let ruff write the format
format: $(STAMP)
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

## make crds       write manifests/crds anew from the models
crds: $(STAMP)
	@$(BIN)/python manifests/crds.py manifests/crds

## make docs       the documentation, into site/
docs: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --quiet --strict

## make screenshot  take the picture of `keda-py dev` for the documentation anew
screenshot: $(STAMP)
	@$(BIN)/python docs/screenshot.py docs/dev.svg

## make requirements  write the hashed requirement files anew
requirements: $(STAMP)
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras --no-emit-index-url --extra all pyproject.toml -o requirements/run.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras --no-emit-index-url --extra all --group dev pyproject.toml requirements/build.in -o requirements/dev.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras --no-emit-index-url --extra cron --extra http --extra dev-cluster -c requirements/dev.txt pyproject.toml requirements/build.in -o requirements/try.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url requirements/uv.in -o requirements/uv.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url -c requirements/dev.txt requirements/kerberos.in -o requirements/kerberos.txt

clean:
	rm -rf $(VENV) dist site
