# Two commands matter: `make run` and `make test`. Each sets itself up in .venv, and says what it lacks. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
SECONDS ?=
PART ?=
MINUTES ?=
EXTRAS := kafka redis cassandra api backup build  # the extras of `make run`, those for one's own servers too
COMPILE := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
SEEDS ?= 10000
SEED ?=
REAL ?=

unexport PYTHONDONTWRITEBYTECODE  # else each command that a test starts compiles what it imports anew

.PHONY: run test simulate fuzz soak audit check bench bench-peers stack docs screenshot spark lock clean help
.PHONY: every-test coverage-of-law

run: .venv/run-ready .venv/city-ready  ## the demonstration, on the embedded default; SECONDS=10 ends it by itself
	@$(BIN)/devicesync demo $(if $(SECONDS),--seconds $(SECONDS))

test: .venv/dev-ready .venv/servers-ready .venv/city-ready $(if $(filter true,$(CI)),.venv/spark-ready)  ## every test, with the coverage of law/ at 100 % of branches
	@$(MAKE) --no-print-directory -j 2 every-test coverage-of-law

every-test:
	$(BIN)/python -m pytest -n 10 --dist loadscope

coverage-of-law:  # by its exact tests: counting branches would make the long random ones take twice as long, and they run above
	$(BIN)/coverage run -m pytest -q -m 'not slow' tests/law
	$(BIN)/coverage report

simulate: .venv/dev-ready $(if $(REAL),.venv/servers-ready)  ## SEEDS=10000 random histories in a simulated world; SEED=n explains one; REAL=1 compares them with real servers; BACKUP=1 are histories of backups, EMBEDDED=1 of one machine
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(if $(SEED),--seed $(SEED)) $(if $(REAL),--real) $(if $(BACKUP),--backup) $(if $(EMBEDDED),--embedded)

fuzz: .venv/dev-ready  ## the fuzzers for MINUTES=10, with other inputs each time; what breaks something goes into tests/corpus
	@end=$$(($$(date +%s) + $(or $(MINUTES),10) * 60)); while [ $$(date +%s) -lt $$end ]; do \
		FUZZ_EXAMPLES=1000 $(BIN)/python -m pytest tests/fuzz -x -q --timeout 0 --hypothesis-seed=random --show-capture=no || exit 1; done

soak: .venv/dev-ready .venv/servers-ready  ## the whole system loaded and hurt for MINUTES=20, then compared with the law
	@PYTHONPATH=.:benchmarks $(BIN)/python -m soak --minutes $(or $(MINUTES),20)

audit: .venv/dev-ready .venv/audit-ready  ## known vulnerabilities and licences of what we depend on; never clean without having asked
	@$(BIN)/python -m devstack.audit .venv/audit/bin/pip-audit

check: .venv/dev-ready  ## lint, types, import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/dev-ready .venv/bench-ready  ## every benchmark, or one: PART=embedded, size, stack, waiting, workers, api, backup, enrich, enrich_kafka, audit, planted (DEVICES=n) or status
	@$(BIN)/python benchmarks/run.py $(PART)

bench-peers: .venv/dev-ready .venv/servers-ready  ## the updater beside Kafka Connect; REDIS_SINK=DIR and CASSANDRA_SINK=DIR are clones of its sinks, docs/decisions/connect-is-not-enough.md says which
	@PYTHONPATH=. $(BIN)/python benchmarks/peers.py $(if $(REDIS_SINK),--redis $(REDIS_SINK)) $(if $(CASSANDRA_SINK),--cassandra $(CASSANDRA_SINK))

stack: .venv/dev-ready .venv/servers-ready  ## real Redis, Kafka and Cassandra for development, until Ctrl-C
	@$(BIN)/python -m devstack

docs: .venv/dev-ready  ## write docs/reference/commands.md and metrics.md anew from the code
	$(BIN)/python docs/generate.py

screenshot: .venv/dev-ready .venv/servers-ready  ## take docs/page.png and docs/page-phone.png anew, in two minutes
	@PYTHONPATH=. $(BIN)/python docs/screenshot.py

spark: .venv/spark-ready  ## Spark, 700 MB, for the one test of the example that runs in it; with CI=true `make test` gets it too

lock:  ## pin the dependencies anew (needs uv)
	$(COMPILE) $(foreach extra,$(EXTRAS),--extra $(extra)) pyproject.toml -o requirements.lock
	$(COMPILE) $(foreach extra,$(EXTRAS) all dev,--extra $(extra)) pyproject.toml -o requirements-dev.lock
	printf 'pyspark\npandas<3\n' | $(COMPILE) - -o requirements-spark.lock

clean:  ## remove what the other targets made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .stack devicesync-data

help:  ## what each target does
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1 \2/p' Makefile | while read -r target does; do printf '%-12s%s\n' "$$target" "$$does"; done

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "devicesync needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "python3 can't make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }

.venv/run-ready: requirements.lock pyproject.toml | .venv/bin/python
	@echo "setting up .venv (once)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/city-ready: requirements-city.lock | .venv/run-ready  # MaxMind's City data of 2018, to try with; we go on without
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-city.lock || true
	@touch $@

.venv/spark-ready: requirements-spark.lock | .venv/run-ready  # in a directory of its own: the test of the example puts it on its path
	@echo "getting Spark, which one test needs"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes --upgrade --target .venv/spark -r requirements-spark.lock
	@touch $@

.venv/audit-ready: | .venv/dev-ready  # in an environment of its own: it would bring other versions of what we depend on
	@$(PYTHON) -m venv .venv/audit
	@.venv/audit/bin/python -m pip install -q --disable-pip-version-check pip-audit==2.10.1 || echo "pip-audit can't be had from the package index"
	@touch $@

.venv/servers-ready: devstack/install.sh | .venv/bin/python
	@sh devstack/install.sh
	@touch $@

.venv/bench-ready: devstack/install.sh | .venv/servers-ready
	@sh devstack/install.sh bench
	@touch $@

.venv/dev-ready: requirements-dev.lock pyproject.toml | .venv/run-ready
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ .venv/run-ready
