# Everything a newcomer types. `make help` lists it; the work is done by `recount` (see docs/operations.md).
SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
export PYTHONPATH := $(CURDIR):$(CURDIR)/src
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --require-hashes --build-constraints requirements/build.txt
COMPILE := UV_NO_CONFIG=1 $(UV) pip compile --quiet --generate-hashes --no-annotate --no-header --no-emit-index-url \
	--no-emit-find-links --python-version 3.11

.PHONY: help up down status logs clean-data consul test lint tracker bench bench-large lock

help: ## show what can be typed
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(UV): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "Recount needs Python 3.11; '$(PYTHON)' is another one. Give its path: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@echo "Creating the environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $(UV)

$(VENV)/.stack: requirements/stack.txt requirements/build.txt $(UV)
	@echo "Installing the pinned packages of the stack (1 GB, a minute or so)"
	@$(INSTALL) -r requirements/stack.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt requirements/build.txt $(UV)
	@echo "Installing the pinned packages of the stack and its tests (1.3 GB, a minute or so)"
	@$(INSTALL) -r requirements/dev.txt
	@touch $(VENV)/.stack $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	@$(INSTALL) -r requirements/bench.txt
	@touch $@

up: $(VENV)/.stack ## start everything in the background and print where it is
	@./recount up

down: $(VENV)/.stack ## stop everything, keep the data
	@./recount down

status: $(VENV)/.stack ## parts, health, ports, consumer lag, newest published hour
	@./recount status

logs: $(VENV)/.stack ## follow the logs of all parts
	@./recount logs --follow

clean-data: $(VENV)/.stack ## stop everything and delete all data of this working copy (asks first)
	@./recount clean-data

consul: $(VENV)/.stack ## build Consul (once, two minutes; `make up` does it in the background)
	@$(BIN)/python -m deploy.local.consul_build

test: $(VENV)/.dev consul ## all tests, on a stack of their own
	@$(BIN)/python -m pytest

lint: $(VENV)/.dev ## style, formatting, types, import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports

tracker: $(VENV)/.dev ## build the tracker script anew (edge/tracker)
	@cd edge/tracker && PATH="$(CURDIR)/$(BIN):$$PATH" && export PATH && npm ci --silent && npm run --silent build

bench: $(VENV)/.bench ## measure beside peers; prints a table and writes build/bench.json
	@$(BIN)/python -m tests.bench

bench-large: $(VENV)/.bench ## measure an hour of 41.7 million events (takes a few minutes, 10 GB of memory and 7 GB of disk)
	@$(BIN)/python -m tests.bench hour --large

lock: $(UV) ## pin again what requirements/*.txt and the Java parts are made of
	@printf 'uv==%s\n' "$$($(UV) --version | cut -d ' ' -f 2)" | $(COMPILE) - -o requirements/uv.txt
	@$(COMPILE) requirements/build.in -o requirements/build.txt
	@$(COMPILE) requirements/consul.in -o requirements/consul.txt
	@$(COMPILE) pyproject.toml --extra stack -o requirements/stack.txt
	@$(COMPILE) pyproject.toml --extra stack --extra dev --extra web -c requirements/stack.txt -o requirements/dev.txt
	@$(COMPILE) pyproject.toml --extra bench -c requirements/dev.txt -o requirements/bench.txt
	@$(BIN)/python -m deploy.local.jars lock
	@$(BIN)/python -m deploy.local.consul_build lock
