# Everything goes through a virtual environment in .venv, made on first use; only git, make and Python ≥ 3.11 are needed.
PYTHON ?= python3
RECORDS ?= 2000
SEED ?= 0
OUT ?= dataset
ENGINE ?= ray
BIN := .venv/bin
BAD_DAY := $(wildcard tests/test_bad_day*.py) $(patsubst %,tests/test_%.py,soak damage finalise power_cut determinism regenerate hostile fuzz flows doctor cluster scaling)
WORKERS_FLAG := $(if $(WORKERS),--workers $(WORKERS))

.DEFAULT_GOAL := help
.PHONY: help dataset test bad-day cluster-demo check bench accuracy schemas format clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1 - \2/p' $(MAKEFILE_LIST)

dataset: .venv/installed  ## build a dataset: make dataset [RECORDS=2000] [SEED=0] [OUT=dataset] [ENGINE=ray] [WORKERS=n]
	@$(BIN)/python -m flows.build_dataset --records $(RECORDS) --seed $(SEED) --out "$(OUT)" --engine $(ENGINE) $(WORKERS_FLAG)

test: .venv/installed-dev  ## run the tests, three files at a time: half of the time they wait for servers
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

bad-day: .venv/installed-dev  ## every fault at every stage, half an hour, as root; writes docs/bad-day.md
	ECG_FOUNDRY_ROOT_TESTS=required $(BIN)/python -m pytest -m "" $(BAD_DAY) --bad-day-report docs/bad-day.md

cluster-demo: .venv/installed-dev  ## a cluster's bad day on this machine, as root, some 3 minutes: make cluster-demo [DEMO=--cancel]
	@$(BIN)/python -m infra.demo $(DEMO)

check: .venv/installed-dev  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed-dev  ## time everything beside a peer and write docs/performance.md: make bench [BENCH=--quick]
	@$(BIN)/python -m benchmarks.performance $(BENCH)

accuracy: .venv/installed-dev  ## score the measurement: make accuracy LUDB=DIR MUSE=DIR [PTBXL=FILE] [RAW=DIR]
	@$(BIN)/python -m benchmarks.accuracy $(foreach name,LUDB MUSE PTBXL RAW,$(if $($(name)),--$(name) "$($(name))"))

schemas: .venv/installed-dev  ## write schemas/ again from the code
	$(BIN)/python -m pipeline.schemas schemas

format: .venv/installed-dev  ## format and sort
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove the environment and caches; datasets stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "ECG Foundry needs Python 3.11 or newer, this is " + sys.version.split()[0] + ". Run make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install $$($(PYTHON) infra/torch_index.py) -c constraints.txt -e .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install $$($(PYTHON) infra/torch_index.py) -c constraints.txt -e '.[dev]'
	@touch $@
