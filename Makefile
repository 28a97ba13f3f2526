# What a developer types. A machine needs Python 3.11 or later and make; the rest
# comes into .venv the first time.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait more than they work.
JOBS ?= 3
SIDE_BY_SIDE := -n $(JOBS) --dist loadgroup --max-worker-restart 0
INSTALLED := $(VENV)/.installed
SOURCES := $(wildcard _speedups/*.pyx _speedups/*.pxd _speedups/*.pxi)

# Everybody installs the same versions, for building as for running. pip splits these at
# blanks, so a checkout whose path has some does without.
ifeq ($(words $(CURDIR)),1)
export PIP_CONSTRAINT ?= $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT ?= $(PIP_CONSTRAINT)
endif

# Tests start dewy some thousand times; where it may not keep its bytecode, every one
# of them compiles it anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo quick test soak coverage mutants figures lint bench gate build check-wheel clean

help:
	@echo 'make demo         see three releases deployed under load'
	@echo 'make quick        run the tests that take no programs, in a minute'
	@echo 'make test         run the tests (ARGS="-k name" passes options to pytest)'
	@echo 'make soak         run the long tests at full size'
	@echo 'make coverage     count the branches that the tests of the pure rooms take'
	@echo 'make mutants      count the mutants that they kill (ARGS=ROOM for one room)'
	@echo 'make figures      print what the code is held to (ARGS=--write for the table)'
	@echo 'make lint         check style, types, Cython sources and workflows'
	@echo 'make bench        measure the proxy, alone and against HAProxy and nginx'
	@echo 'make gate         hold it to its pass marks, in 2 minutes'
	@echo 'make build        build an sdist and a wheel into dist/'
	@echo 'make check-wheel  test the wheel in a fresh environment'
	@echo 'make clean        remove what was built'

demo: $(INSTALLED)
	$(BIN)/dewy demo $(ARGS)

# Less than a minute on two cores: what a change broke first. More at a time, as these
# wait most of theirs.
QUICKLY := $(SIDE_BY_SIDE) -n 4 --part quick

quick: $(INSTALLED)
	$(BIN)/pytest $(QUICKLY) $(ARGS)

# The quick part; the proxy on the pure relay, on either loop (the relays' own tests have
# both of them on uvloop anyway); then the rest on whichever relay was built, several
# tests at a time (JOBS=0 has them one by one). What the pure relay costs is measured
# there, too.
test: $(INSTALLED)
ifeq ($(ARGS),)
	$(BIN)/pytest $(QUICKLY)
	env -u DEWY_REQUIRE_EXTENSIONS DEWY_NO_EXTENSIONS=1 $(BIN)/pytest $(SIDE_BY_SIDE) tests/proxy
	env -u DEWY_REQUIRE_EXTENSIONS DEWY_NO_EXTENSIONS=1 DEWY_TEST_LOOP=asyncio $(BIN)/pytest $(SIDE_BY_SIDE) tests/proxy tests/_speedups -k 'not c-threads and not c-loop and not test_bounds'
	$(BIN)/pytest $(SIDE_BY_SIDE) --part rest
else
	$(BIN)/pytest $(SIDE_BY_SIDE) $(ARGS)
endif

soak: $(INSTALLED)
	DEWY_SOAK=1 $(BIN)/pytest -m soak --timeout 1800 -o faulthandler_timeout=2000 $(ARGS)

coverage: $(VENV)/.group-coverage
	$(BIN)/python dev/rooms coverage

mutants: $(VENV)/.group-mutants
	nice $(BIN)/python dev/rooms mutants $(ARGS)

lint: $(VENV)/.group-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@# The sdist has no workflows.
	if [ -d .github ]; then $(BIN)/zizmor --offline --quiet --no-progress .; fi
ifneq ($(SOURCES),)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint _speedups
	@# Where it was built, the extension must be what its stub says.
	if ls dewy/_speedups/relay_c*.so >/dev/null 2>&1; then $(BIN)/python -m mypy.stubtest dewy._speedups.relay_c; fi
endif

# What the code is held to (ARGS=--write for the table in CONTRIBUTING.md).
figures: $(INSTALLED)
	@$(BIN)/python dev/figures $(ARGS)

bench: $(VENV)/.group-bench
	$(BIN)/pytest -o python_files='bench_*.py' -o python_functions='bench_*' --benchmark-group-by=func --benchmark-columns=median,iqr,rounds benchmarks
	$(BIN)/python -m benchmarks.gate $(ARGS)

gate: $(VENV)/.group-bench
	$(BIN)/python -m benchmarks.gate --short $(ARGS)

build: $(VENV)/.group-wheels
	$(BIN)/python -m build

check-wheel: $(VENV)/.group-wheels
	PYTHON=$(BIN)/python dev/check-wheel $(ARGS)

clean:
	rm -rf build dist wheelhouse *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache
	rm -f dewy/_speedups/*.so
	find dewy tests -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("dewy needs Python 3.11 or later; $(PYTHON) is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): constraints.txt pyproject.toml setup.py $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install -qq --editable '.[fast,github-app,signatures,container,s3,gcs,redis,consul,grpc,slack,mail,telemetry]' --group test
	@touch $@

$(VENV)/.group-%: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --group $*
	@touch $@
