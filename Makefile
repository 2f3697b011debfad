# Two commands are enough on a fresh clone: `make run` and `make test`. Needed: Python 3.11 or later with venv.
#   make run ARGS="--for 10 --json"       options of `tickdeck run`
#   make test PYTEST_ARGS="-m ''"         options of pytest; these take the slow tests along
#   make demo ARGS="--tape FILE"          an exchange on localhost, and a run that trades on its market; --tape: a recorded one
#   make torture ARGS="--kills 50"        a run with real orders, killed again and again, and compared with the exchange
#   make soak ARGS="--soak 20"            the same with one run, for so many minutes at full speed
#   make test-fast                        the pure parts alone, within ten seconds
#   make test COVERAGE=1                  the same with the coverage gate, at half the speed
#   make bench ARGS="bus" PEERS=1         options of `tickdeck bench`, beside other libraries
# uv, where it is present, makes the venv and installs; otherwise venv and pip do. PYTHON=... names the Python to use.

VENV := .venv
PEERS_VENV := .venv-peers
CLIENTS_VENV := .venv-clients
BIN := $(VENV)/bin
ARGS ?=
PYTEST_ARGS ?=
COVERAGE ?=
PEERS ?=
PYTHON ?=

.DELETE_ON_ERROR:
.PHONY: help run demo torture soak test test-fast check check-style check-types check-imports check-core bench format venv clients clean

help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

run: $(VENV)/.installed
	@exec $(BIN)/tickdeck run $(ARGS)

# An exchange on localhost and a run against it; ARGS are options of `tickdeck run`.
demo: $(VENV)/.installed
	@exec $(BIN)/python tools/demo.py $(ARGS)

# A run with real orders that is killed and resumed; ARGS are options of tools/torture.py.
torture: $(VENV)/.installed
	@exec $(BIN)/python tools/torture.py $(ARGS)

# One run under all faults, killed now and then, whose memory must stay flat. ARGS="--soak 60" takes an hour.
soak: $(VENV)/.installed
	@exec $(BIN)/python tools/torture.py --soak 20 $(ARGS)

PYTEST = -m pytest --numprocesses=auto --dist=worksteal $(PYTEST_ARGS)

ifeq ($(COVERAGE),)
test: $(VENV)/.installed
	@exec $(BIN)/python $(PYTEST)
else
test: $(VENV)/.installed
	@$(BIN)/coverage erase
	@$(BIN)/coverage run $(PYTEST)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report
endif

# The parts without files, processes and clocks, and without their longest tests: an answer within ten seconds.
test-fast: $(VENV)/.installed
	@exec $(BIN)/python $(PYTEST) -q --hypothesis-profile=fast -m "not slow and not long" tests/domain tests/application

check: check-style check-types check-imports check-core

check-style: $(VENV)/.installed
	@$(BIN)/ruff check --quiet --output-format=concise .
	@$(BIN)/ruff format --check --quiet --diff .

check-types: $(VENV)/.installed
	@$(BIN)/mypy

# PYTHONPATH, because it is this tree that is checked, wherever the venv's own copy of the project is.
check-imports: $(VENV)/.installed
	@PYTHONPATH=src $(BIN)/lint-imports --no-logo

check-core: $(VENV)/.installed
	@$(BIN)/python tools/lint_core.py

format: $(VENV)/.installed
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

ifeq ($(PEERS),)
bench: $(VENV)/.installed
	@exec $(BIN)/tickdeck bench $(ARGS)
else
bench: $(PEERS_VENV)/.installed
	@exec $(PEERS_VENV)/bin/tickdeck bench $(ARGS)
endif

venv: $(VENV)/.installed

# The independent clients that the slow tests point at the venue, in a venv of their own.
clients: $(CLIENTS_VENV)/.installed

clean:
	@rm -rf $(VENV) $(PEERS_VENV) $(CLIENTS_VENV) build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# $(call install,FOLDER,REQUIREMENTS): exactly the versions of the file, then the project without a look at its
# dependencies. What the installers say goes to stderr: stdout belongs to the command that was asked for.
define install
set -e; \
python=""; \
for candidate in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		python="$$candidate"; break; \
	fi; \
done; \
if [ -z "$$python" ]; then \
	echo "tickdeck needs Python 3.11 or later with venv; install it, or name it: make PYTHON=/path/to/python3.11" >&2; \
	exit 1; \
fi; \
echo "installing into $(1) (once; takes a minute) ..." >&2; \
exec 1>&2; \
if command -v uv >/dev/null 2>&1; then \
	[ -x $(1)/bin/python ] || uv venv --quiet --python "$$python" $(1); \
	uv pip install --quiet --python $(1)/bin/python --requirement $(2); \
	uv pip install --quiet --python $(1)/bin/python --no-deps --no-build-isolation --editable .; \
else \
	[ -x $(1)/bin/pip ] || "$$python" -m venv $(1); \
	$(1)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --requirement $(2); \
	$(1)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
fi; \
touch $(1)/.installed
endef

$(VENV)/.installed: pyproject.toml requirements-lock.txt
	@$(call install,$(VENV),requirements-lock.txt)

$(PEERS_VENV)/.installed: pyproject.toml benchmarks/requirements-peers.txt
	@$(call install,$(PEERS_VENV),benchmarks/requirements-peers.txt)

$(CLIENTS_VENV)/.installed: tests/clients/requirements.txt | $(VENV)/.installed
	@echo "installing into $(CLIENTS_VENV) (once; takes a minute) ..." >&2
	@$(BIN)/python -m venv $(CLIENTS_VENV)
	@$(CLIENTS_VENV)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --requirement $<
	@touch $@
