# Everything a person or a machine does with this repository. It needs a Rust toolchain (1.95 or newer, with a C
# compiler, as `rustc` itself does) and make, and to test Node 20 or newer; crates and packages come from their
# registries on the first run.

CARGO ?= cargo
# Colours and progress bars are for people.
ifdef CI
export CARGO_TERM_PROGRESS_WHEN := never
export CARGO_INCREMENTAL := 0
endif

step = @printf '\n==> %s\n' "$(1)"

.DEFAULT_GOAL := help
CLIENTS := e2e/clients/node_modules/.package-lock.json

PYTHON ?= python3
CALA := $(abspath $(or $(CARGO_TARGET_DIR),target)/cala)
COMPARE := $${CARGO_TARGET_DIR:-target}/compare

.PHONY: help demo test clients browser postgres redis soak mutants cases bench bench-postgres compare lint fmt schema deny clean tools

help: ## What can be made
	@printf 'Saldo settles revenue shares: from a provider'"'"'s records to a closed settlement.\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nStart with: make demo\n'

# A development build, because a release build takes minutes more; it records some 20,000 transactions a second.
demo: tools ## Build Saldo and run it with a demo tenant whose providers send records, at http://127.0.0.1:8080
	$(call step,Building Saldo (the first time takes some minutes))
	$(CARGO) build --package api --bin saldo
	$(call step,Starting the demo; Ctrl-C stops it and the next one goes on from there)
	@exec "$${CARGO_TARGET_DIR:-target}/debug/saldo" demo

test: lint clients browser postgres redis ## Every check and test: formatting, lints, unit, API, schema, tidy and end-to-end
	$(call step,Building every test and the binary that the end-to-end tests run)
	$(CARGO) test --workspace --no-run
	$(call step,Testing: rules and core; API and schema.graphql; tidiness; the real binary end to end)
	@test -f "$${SALDO_TEST_DATA:-../shared/data}/crash-game-rounds.csv" || \
	  printf 'Note: crash-game-rounds.csv is not there (SALDO_TEST_DATA names its folder); tests on it are skipped.\n'
	$(CARGO) test --workspace
	@set -e; if e2e/with-postgres.sh --there 2>/dev/null; then \
	  printf '\n==> Testing the core and the API on PostgreSQL\n'; \
	  e2e/with-postgres.sh $(CARGO) test --package domain --package api --test it; \
	  printf '\n==> Breaking things under several processes on PostgreSQL\n'; \
	  e2e/with-postgres.sh $(CARGO) test --package e2e --test run -- nodes:: kill::an_import_into; fi
	$(call step,All checks passed)

# What the end-to-end tests run against the binary; npm does nothing where it is installed already.
clients: $(CLIENTS) ## Install the GraphQL clients from npm that the end-to-end tests use (needs Node 20)

$(CLIENTS): e2e/clients/package-lock.json
	@node -e 'process.exit(Number(parseInt(process.versions.node) < 20))' 2>/dev/null && command -v npm >/dev/null || { \
	  printf 'Node is missing or too old: the end-to-end tests run real GraphQL clients. Install Node 20 or newer with npm:\n' >&2; \
	  printf 'https://nodejs.org, or on Debian: apt-get install nodejs npm\n' >&2; exit 1; }
	$(call step,Installing the GraphQL clients of the end-to-end tests)
	cd e2e/clients && npm ci --no-audit --no-fund
	@touch $@

# The page is looked at in a real browser. Without one, the test that does says so and passes.
browser: ## Install Chromium, in which the page is tested, where it is missing and apt may be used
	@test -x "$${CHROMIUM:-/usr/bin/chromium}" || { \
	  if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
	    printf '\n==> Installing Chromium, in which the page is tested\n'; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; \
	  fi || true; \
	  test -x "$${CHROMIUM:-/usr/bin/chromium}" || \
	    printf 'Note: there is no Chromium (CHROMIUM names its place); the test of the page is skipped.\n'; }

# Without a server, the tests of the core and the API run on the embedded database only.
postgres: ## Install PostgreSQL, on which the core and the API are tested, where it is missing and apt may be used
	@e2e/with-postgres.sh --there 2>/dev/null || { \
	  if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
	    printf '\n==> Installing PostgreSQL, on which the core and the API are tested\n'; \
	    mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql >/dev/null; \
	  fi || true; \
	  e2e/with-postgres.sh --there 2>/dev/null || \
	    printf 'Note: there is no PostgreSQL; the tests on it are skipped.\n'; }

# Tests that want one start it themselves.
redis: ## Install Redis, beside which several processes are tested, where it is missing and apt may be used
	@command -v redis-server >/dev/null || { \
	  if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
	    printf '\n==> Installing Redis, beside which several processes are tested\n'; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends redis-server >/dev/null; \
	  fi || true; \
	  command -v redis-server >/dev/null || printf 'Note: there is no redis-server; the tests with it are skipped.\n'; }

lint: tools ## Formatting and clippy, warnings denied
	$(call step,Checking the formatting)
	$(CARGO) fmt --all --check
	$(call step,Linting; a warning is an error)
	$(CARGO) clippy --workspace --all-targets -- -D warnings

fmt: tools ## Format the code
	$(CARGO) fmt --all

# Each fault of docs/reliability.md so often; a line for each round. It takes some minutes, and is cut off after 15.
ROUNDS ?= 12

soak: tools postgres redis ## Kill processes, Redis and PostgreSQL under load, again and again (ROUNDS=12)
	$(call step,Building the binary and its tests)
	$(CARGO) build --package api --bin saldo
	$(CARGO) test --package e2e --test run --no-run
	$(call step,Breaking things $(ROUNDS) times each)
	SALDO_SOAK_ROUNDS=$(ROUNDS) timeout 900 e2e/with-postgres.sh $(CARGO) test --package e2e --test run -- nodes:: failover:: --nocapture --test-threads=1

mutants: tools ## Take away what keeps tenants apart, place by place, in a copy: a test has to notice each
	$(CARGO) run --quiet --package e2e --example mutants

CASES ?= 10000

cases: ## Hold live, replay and a naive reference against each other over random contracts and streams (CASES=10000)
	$(call step,Building the core's tests)
	$(CARGO) test --package domain --lib --no-run
	$(call step,Calculating $(CASES) contracts three ways)
	SALDO_CASES=$(CASES) $(CARGO) test --package domain --lib replay::agreement

bench: tools ## Measure recording beside raw inserts, the time machine, and live subscribers beside none (release build)
	$(call step,Building the benchmarks)
	$(CARGO) build --release --package api --bin saldo
	$(CARGO) bench --package domain --bench pipeline
	$(CARGO) bench --package domain --bench replay
	$(CARGO) bench --package e2e --bench live
	@if e2e/with-postgres.sh --there 2>/dev/null; then $(MAKE) --no-print-directory bench-postgres; fi

# One part alone: make bench-postgres PARTS="bulk http". cala-ledger, beside which it is measured, is no dependency of
# Saldo: it has a workspace and a lockfile of its own.
bench-postgres: tools ## Measure recording on PostgreSQL, beside raw inserts, pgbench and cala-ledger (PARTS names some of it)
	$(call step,Building cala-ledger)
	cd bench/cala && CARGO_TARGET_DIR="$(CALA)" $(CARGO) build --release --locked
	$(call step,Measuring on PostgreSQL)
	SALDO_BENCH_CALA="$(CALA)/release/cala" e2e/with-postgres.sh --durable \
	  $(CARGO) bench --package domain --bench postgres -- $(PARTS)
	@case " $(or $(PARTS),http) " in *" http "*) e2e/with-postgres.sh --durable $(CARGO) bench --package api --bench http;; esac

# Five splits of eight real data sets; the Python packages live in an environment of their own under target/.
compare: tools ## Measure the anomaly detector beside scikit-learn's and PyOD's (needs Python 3.11 and the data sets)
	@ls "$${SALDO_TEST_DATA:-../shared/data}"/anomaly/*.csv.gz >/dev/null 2>&1 || { \
	  printf 'There is nothing to compare on: no anomaly/*.csv.gz in %s.\n' "$${SALDO_TEST_DATA:-../shared/data}" >&2; \
	  printf 'SALDO_TEST_DATA names the folder that holds anomaly/.\n' >&2; exit 1; }
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  printf 'Python 3.11 or newer with venv is missing: https://python.org, or on Debian: apt-get install python3-venv.\n' >&2; \
	  printf 'PYTHON names another interpreter: make compare PYTHON=python3.12\n' >&2; exit 1; }
	$(call step,Installing scikit-learn and PyOD under target/compare (once))
	@cmp -s ml/compare/requirements.txt "$(COMPARE)/installed.txt" || { \
	  $(PYTHON) -m venv --clear "$(COMPARE)/python" && \
	  "$(COMPARE)/python/bin/python" -m pip install --quiet --disable-pip-version-check -r ml/compare/requirements.txt && \
	  cp ml/compare/requirements.txt "$(COMPARE)/installed.txt"; }
	$(call step,Building the example evaluate)
	$(CARGO) build --release --package ml --example evaluate
	$(call step,Comparing; it takes some minutes)
	@"$(COMPARE)/python/bin/python" ml/compare/compare.py "$${CARGO_TARGET_DIR:-target}/release/examples/evaluate" \
	  "$(COMPARE)/splits" "$${SALDO_TEST_DATA:-../shared/data}"/anomaly/*.csv.gz

schema: tools ## Write schema.graphql anew from the code
	$(CARGO) run --quiet --package api --bin saldo -- schema > schema.graphql.new
	mv schema.graphql.new schema.graphql

deny: tools ## Licences, advisories, bans and sources of the dependencies (needs cargo-deny and the network)
	@$(CARGO) deny --version >/dev/null 2>&1 || { \
	  printf 'cargo-deny is missing. Install it with: cargo install --locked cargo-deny\n' >&2; exit 1; }
	$(CARGO) deny check

clean: ## Remove what was built; the demo's data under var/ stays
	$(CARGO) clean

tools:
	@command -v $(CARGO) >/dev/null || { \
	  printf 'cargo is missing. Install Rust 1.95 or newer: https://rustup.rs\n' >&2; exit 1; }
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || \
	  { printf '==> Installing rustfmt and clippy\n'; rustup component add rustfmt clippy; }
