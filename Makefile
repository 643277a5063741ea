# Two commands on a fresh machine:  make demo  and  make test.  Both may be run again at any time.
#
#   make demo     create .venv, install, run the main job on the embedded world, print its table
#   make test     create .venv, install, then lint, types and tests: what CI runs
#   make install  only the first part
#   make lint | types | pytest | slow    one part of the checks; slow adds the long tests
#   make format   rewrite the sources in the one format
#   make leaderboard   measure the shipped models (MODELS) anew, into results/measured and README.md
#   make clean    remove what make made

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RESULTS ?= $(VENV)/demo-results
PYTEST ?= -n 2

.PHONY: demo test install lint types pytest slow format leaderboard clean

demo: install
	@echo "── bench run: colour on shapes: one pass an image for PQ, AP and mIoU ──"
	$(BIN)/bench run shapes-colours shapes --model colour --results $(RESULTS)

test: lint types pytest

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "bench needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11 …"; exit 1; }
	@echo "── creating $(VENV) and installing bench with its development tools ──"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

pytest: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST)

slow: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST) -m "not gpu and not weights and not network"

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

MODELS ?= colour xdecoder-nano
EMBEDDED := shapes-all shapes-colours shapes-in-the-wild

# A model that cannot do some of the tasks ends the first line with an error; its other runs count.
leaderboard: install
	-$(BIN)/bench run $(EMBEDDED) --model $(MODELS) --results $(VENV)/leaderboard
	$(BIN)/bench table $(EMBEDDED) --no-shipped --no-published --quiet \
		--results $(VENV)/leaderboard --export results/measured
	$(BIN)/bench table --update README.md

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
