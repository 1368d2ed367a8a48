# make demo     sets everything up and runs the whole workflow on the built-in competition
# make test     sets everything up, checks format, style and types, and runs the tests
# make lint     checks format, style and types alone
# make format   rewrites the code as the formatter wants it
# make figures  copies the demo's figure that README.md shows
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test figures format lint clean

demo: $(VENV)/ready
	$(BIN)/python train.py configs/demo.yaml
	$(BIN)/python verify.py runs/demo

test: $(VENV)/ready-dev lint
	$(BIN)/python -m pytest

figures: demo
	cp runs/demo/figures/roc.svg docs/figures/

format: $(VENV)/ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: $(VENV)/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

$(VENV)/ready: requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; say which: make demo PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt -c constraints.txt
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready requirements-dev.txt
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt -c constraints.txt
	@touch $@

clean:
	rm -rf runs/demo runs/smoke data/demo data/demo-answers cache
