# The same few commands for everybody; each is one line of a tool. README has them without make.
PYTHON ?= python3
BIN := .venv/bin
export NO_MKDOCS_2_WARNING := 1

.PHONY: setup serve test build check bench bench-site picture

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt package.json package-lock.json
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/npm ci --silent
	touch $@

serve: setup
	$(BIN)/python -m mkdocs serve --no-strict

test: setup
	$(BIN)/python -m pytest -n auto --dist loadfile

build: setup
	$(BIN)/python -m mkdocs build --strict

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

bench: setup
	$(BIN)/python scripts/bench

bench-site: setup
	$(BIN)/python scripts/bench_site.py

picture: setup
	$(BIN)/python scripts/picture.py
