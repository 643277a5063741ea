# Two commands on a fresh machine:  make demo  and  make test.  Both may be run again at any time.
#
#   make demo     create .venv, install, run the main job on the embedded world, print its table
#   make test     create .venv, install, then lint, types and tests: what CI runs
#   make install  only the first part
#   make lint | types | pytest | slow    one part of the checks; slow adds the long tests
#   make format   rewrite the sources in the one format
#   make leaderboard   measure the shipped models (MODELS) anew, into results/measured and README.md
#   make few-shot      tune xdecoder-nano on few shots anew, into results/few-shot and results/figures
#   make clean    remove what make made

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RESULTS ?= $(VENV)/demo-results
PYTEST ?= -n 2

.PHONY: demo test install lint types pytest slow format leaderboard few-shot clean

demo: install
	@echo "── bench run: two models on drawn scenes: one pass an image for PQ, AP and mIoU ──"
	$(BIN)/bench run shapes shapes-colours --model xdecoder-nano colour --results $(RESULTS)

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
EMBEDDED := shapes-all shapes-open shapes-colours shapes-in-the-wild

# A model that cannot do some of the tasks ends the first line with an error; its other runs count.
# Statistics of more than 1 MB (features, of retrieval) do not ship: their intervals do.
leaderboard: install
	-$(BIN)/bench run $(EMBEDDED) --model $(MODELS) --results $(VENV)/leaderboard
	$(BIN)/bench table $(EMBEDDED) --no-shipped --no-published --quiet \
		--results $(VENV)/leaderboard --export results/measured
	find results/measured -name statistics.npz -size +1000k -delete
	$(BIN)/bench table --update README.md

WILD := night-watch orchard thermal sketchbook aerial fabric darkroom harbour

few-shot: install
	$(BIN)/bench run shapes-in-the-wild --model xdecoder-nano --shots 0,1,3,5,10 \
		--tune class-embedding,prompt,decoder --seeds 3 --executor processes \
		--device cpu --device cpu --results $(VENV)/few-shot
	for name in $(WILD); do \
		$(BIN)/bench table shapes-in-the-wild-$$name --shots 1,3,5,10 --no-shipped --no-published --quiet \
			--results $(VENV)/few-shot --export results/few-shot/$$name --no-export-images; \
	done
	$(BIN)/bench plot figure8 shapes-in-the-wild --no-own --no-published --out results/figures
	$(BIN)/bench plot figure9 shapes-in-the-wild --no-own --no-published --out results/figures
	$(BIN)/bench table --update README.md

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
