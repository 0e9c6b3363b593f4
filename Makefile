# Everything runs in .venv, with the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test quick zoo mutants lint install clean
.DEFAULT_GOAL := install

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ .venv/demo

# What the demo needs and no more: no test runner, no type checker.
.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[report]'
	touch $@

demo: .venv/demo
	PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

# Two processes with one thread each: small networks gain nothing from a second thread. In the order of the files, since
# by number of tests the slowest file, the pages of docs/, would come last and leave one process idle.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" --ignore=tests/journeys --ignore=tests/docs

# Some 180 small trainings with and without a known fault: is the doctor as good as it was?
zoo: install
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.zoo --tier fast --bars

# Random single changes of the source: do the tests notice? Ten minutes at most; the same command resumes.
mutants: install
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutants]'
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.mutants --seed $(or $(SEED),0)

lint: install
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/pyright
	$(BIN)/lint-imports

clean:
	rm -rf .venv runs demo
