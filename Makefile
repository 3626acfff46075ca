# The commands of README; each works on a fresh machine with Python 3.11 or later and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PROFILES := $(VENV)/.profiles
SYSTEM := $(VENV)/.system
# One more than the two cores that are needed: some tests wait for disks, clocks and other processes.
SEVERAL_AT_A_TIME := --numprocesses 3 --dist loadscope --no-loadscope-reorder
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.DEFAULT_GOAL := install
.PHONY: install demo dev test test-stories rehearse rehearse-short system-packages test-system rehearse-data-faults bench-scale bench-ingest calls lint format cookbook pictures check-definitions clean

install: $(INSTALLED) ## the environment in .venv, from pinned versions

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,report]'
	touch $@

# Data for tests alone: nothing of the package is imported, so none of its dependencies are wanted.
$(PROFILES): $(INSTALLED) requirements-profiles.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-profiles.txt
	touch $@

demo: $(INSTALLED) ## a month's bill from the built-in simulator
	$(BIN)/climkit demo

dev: $(INSTALLED) ## Dagster's UI; without an account, on the simulator
	$(BIN)/climkit dev

test: $(INSTALLED) $(PROFILES) ## every law, and whole runs of the main job
	$(BIN)/python -m pytest -m 'not story' $(SEVERAL_AT_A_TIME) --ignore tests/system --ignore tests/rehearsals/test_rehearsals.py

test-stories: $(INSTALLED) ## several runs one after the other: odd accounts, revisions, closing, refreshes
	$(BIN)/python -m pytest -m story $(SEVERAL_AT_A_TIME) tests/end_to_end tests/warehouse

rehearse: $(INSTALLED) ## kills, crowds and faults in full (about an hour); writes docs/rehearsals.md; ONLY=NAME, SEED=N
	$(BIN)/python tests/rehearsals $(if $(ONLY),--only $(ONLY)) $(if $(SEED),--seed $(SEED))

rehearse-short: $(INSTALLED) ## the same in small: asserts, writes nothing
	$(BIN)/python -m pytest --numprocesses 2 tests/rehearsals/test_rehearsals.py

system-packages: $(SYSTEM) ## Debian's browser, PostgreSQL and LibreOffice, for test-system (as root, or with sudo)
	$(SUDO) apt-get update -qq
	$(SUDO) apt-get install -y -qq --no-install-recommends chromium postgresql libreoffice-calc poppler-utils

$(SYSTEM): $(INSTALLED) requirements-system.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --requirement requirements-system.txt \
		--editable '.[dev,report,service]'
	touch $@

test-system: $(SYSTEM) ## the tests that need a browser, PostgreSQL or a service, after system-packages
	$(BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder tests/system

rehearse-data-faults: $(INSTALLED) ## a simulated year with every fault in the data: docs/data_faults.md
	$(BIN)/python tests/rehearsals/data_fault_table.py --output docs/data_faults.md

SITES ?= 60
METERS ?= 30
DAYS ?= 1096
COMPARE_DAYS ?= 365

bench-scale: $(INSTALLED) ## what a large account costs (hours at this size), SITES= METERS= DAYS=: docs/benchmarks.md
	$(BIN)/python tests/rehearsals/bench_scale.py --sites $(SITES) --meters $(METERS) --days $(DAYS) \
		--compare-days $(COMPARE_DAYS) $(if $(FOLDER),--folder $(FOLDER)) --output docs/benchmarks.md

bench-ingest: $(INSTALLED) ## what the work around a call costs beside a hand-written script: docs/benchmarks_ingest.md
	$(BIN)/python tests/rehearsals/bench_ingest.py --output docs/benchmarks_ingest.md

calls: $(INSTALLED) ## how many calls accounts take, with each saving on and off: docs/calls.md
	$(BIN)/python tests/rehearsals/calls_table.py --output docs/calls.md

MONTH ?= 2026-10
PICTURES := days autonomy hours

pictures: $(INSTALLED) ## those of README and the cookbook, of the demo's last full month, after `make demo`
	rm -rf demo-data/pictures && mkdir -p docs/pictures
	CLIMKIT_DATA_DIR=demo-data $(BIN)/climkit report $(MONTH) --site "Avenue du Lac 13" --language en --format svg --output demo-data/pictures
	for name in $(PICTURES); do mv demo-data/pictures/report-*-$$name.svg docs/pictures/$$name.svg; done

cookbook: $(INSTALLED) ## what the recipes answer on the demo's data, after `make demo`: docs/cookbook.md
	$(BIN)/python tests/end_to_end/cookbook.py demo-data

lint: $(INSTALLED) ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check-definitions: $(INSTALLED) ## Dagster's view of the workspace, without credentials
	$(BIN)/dagster definitions validate -w workspace.yaml

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## the environment and the demo's data; never your own
	rm -rf $(VENV) demo-data
