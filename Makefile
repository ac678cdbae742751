# Each target sets up what it needs; nothing is done by hand. Needs Python 3.11 with pip.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test check bench chaos fuzz format clean

demo: $(VENV)/.installed
	$(BIN)/attune demo

# Integration tests start servers and Ray, each with the machine to itself.
test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 tests/unit tests/contract tests/property
	$(BIN)/python -m pytest tests/integration

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

chaos: $(VENV)/.installed
	$(BIN)/python -m benchmarks.chaos

fuzz: SECONDS ?= 600 # for each reader
fuzz: $(VENV)/.installed
	$(BIN)/python -m benchmarks.fuzz --seconds $(SECONDS)

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The constraints pin every version; torch comes first, so that nothing else chooses its build.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Setting up $(VENV): several minutes the first time."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --constraint constraints.txt --upgrade pip setuptools wheel
	$(BIN)/python -m pip install -qq --constraint constraints.txt torch numpy
	$(BIN)/python -m pip install -qq --constraint constraints.txt --editable '.[demo,dev,train,huggingface,bridges,speech,whisper]'
	@touch $@
