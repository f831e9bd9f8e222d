# Each command installs what it needs into .venv: `make demo` the product, all others the development tools as well.
# Requires Python 3.11+ with pip, and make.
PYTHON ?= python3
SEED ?= 0
BIN := .venv/bin
QUICK := tests/data tests/protocols tests/nn tests/metrics/test_metrics.py tests/test_parameters.py tests/test_spaces.py
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Of the plugins that packages bring along, the tests need two; pytest would compile the modules of all.
PYTEST := $(BIN)/pytest --disable-plugin-autoload -p xdist -p hypothesispytest -n 2
# Empty: Python keeps compiled modules. Each process of the tests would compile those of segue and of the tests again.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test quick soak fuzz check lint types docs wheel clean

demo: .venv/product
	$(BIN)/segue demo

# What CI runs: linters, types, docs, the tests, and the built wheel in an environment of its own.
test: check
	$(PYTEST) --dist worksteal -m "not soak"

# Fast tests of the core: logs, protocols, networks, losses and metrics.
quick: .venv/dev
	$(PYTEST) -m "not soak" $(QUICK)

# Long checks: fuzzing, killed processes, many seeds, more examples of each property, an empty environment.
soak: .venv/dev
	$(PYTEST) -m "soak or hypothesis" --hypothesis-profile=soak

# All of tests/fuzz in its long form; SEED=7 make fuzz makes other cases.
fuzz: .venv/dev
	SEED=$(SEED) $(PYTEST) tests/fuzz

check: .venv/dev
	$(MAKE) --jobs 2 --output-sync --no-print-directory docs lint types

lint: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: .venv/dev
	$(BIN)/mypy

docs: .venv/dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# dist/: the wheel and the source distribution.
wheel: .venv/dev
	$(BIN)/python -m hatchling build

.venv/product: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "segue requires Python 3.11 or newer; choose one with: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv .venv
	$(INSTALL) --no-compile -e '.[serve,report]'
	@touch $@

.venv/dev: .venv/product
	$(INSTALL) -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv dist site segue-demo
