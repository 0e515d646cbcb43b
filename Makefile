# The same few commands for everybody; each is one line of a tool. README has them without make.
PYTHON ?= python3
BIN := .venv/bin
export NO_MKDOCS_2_WARNING := 1

.PHONY: setup serve test build check bench bench-site mutants picture

setup: .venv/dev-ready

# What the site needs; reading it should not wait for what only the tests and the benchmarks use.
.venv/docs-ready: pyproject.toml constraints.txt package.json package-lock.json
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/npm ci --silent
	touch $@

.venv/dev-ready: .venv/docs-ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps timm
	touch $@

serve: .venv/docs-ready
	$(BIN)/python -m mkdocs serve --no-strict

test: setup
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

build: .venv/docs-ready
	$(BIN)/python -m mkdocs build --strict

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

bench: setup
	$(BIN)/python scripts/bench

bench-site: .venv/docs-ready
	$(BIN)/python scripts/bench_site.py

# For example `make mutants SEED=2 COUNT=20`; 100 changes take an hour or two.
mutants: setup
	$(BIN)/python -m pip install --quiet cosmic-ray
	$(BIN)/python scripts/mutants.py --seed $(or $(SEED),0) --count $(or $(COUNT),100)

picture: .venv/docs-ready
	$(BIN)/python scripts/picture.py
