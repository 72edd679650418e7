# stream_magic: `make demo` and `make test` are all a newcomer needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test lint unit services golden law law-figures faults bench peers docs clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

demo: $(STAMP)  ## JupyterLab on the tour; HEADLESS=1 runs the story in the terminal
ifeq ($(HEADLESS),1)
	$(BIN)/stream-magic demo --headless $(if $(SECONDS),--seconds $(SECONDS)) $(if $(OUT),--out $(OUT))
else
	$(BIN)/stream-magic demo
endif

test: $(STAMP) lint  ## everything that CI runs: lint, unit, property, golden, services, notebooks
	bash tests/services/install.sh
	$(BIN)/python -m pytest

lint: $(STAMP)  ## ruff, mypy, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(STAMP)  ## fast tests only
	$(BIN)/python -m pytest -m 'not services and not browser'

golden: $(STAMP)  ## rewrite golden files; then read the diff like code
	$(BIN)/python -m pytest tests/golden --update-golden

law: $(STAMP)  ## random queries against DuckDB: CASES=comparisons SEED=first ONLY=form JOBS=processes OUT=file
	PYTHONPATH=tests $(BIN)/python tests/law/run.py --cases $(or $(CASES),2000) $(if $(SEED),--seed $(SEED)) \
	  $(if $(ONLY),--only $(ONLY)) $(if $(JOBS),--jobs $(JOBS)) $(if $(OUT),--out $(OUT))

law-figures: $(STAMP)  ## adds up files of law runs: FILES="a.jsonl b.jsonl" REQUIRE=200 that each kind was met
	PYTHONPATH=tests $(BIN)/python tests/law/figures.py $(FILES) --require $(or $(REQUIRE),200)

faults: $(STAMP)  ## plants one broken line for each rule and operator; the law run must find each: ONLY=part of a name
	PYTHONPATH=tests $(BIN)/python tests/law/faults.py $(if $(ONLY),--only "$(ONLY)") $(if $(JOBS),--jobs $(JOBS))

bench: $(STAMP)  ## ratios against a reference in the same run: ONLY="nexmark streams" EVENTS=200000 OUT=docs/benchmarks.md
	$(if $(EVENTS),EVENTS=$(EVENTS)) $(BIN)/python -m bench $(ONLY) $(if $(OUT),--out $(OUT))

peers: $(STAMP)  ## the same queries by other streaming systems (Java 17): ONLY="deephaven sum_100" ROWS=2000000 RUNS=5 OUT=docs/benchmarks-peers.md
	$(BIN)/python -m bench.peers $(if $(ROWS),--rows $(ROWS)) $(if $(RUNS),--rounds $(RUNS)) $(if $(OUT),--out $(OUT)) $(if $(ONLY),--only $(ONLY))

docs: $(STAMP)  ## write docs/reference and docs/language from the code
	$(BIN)/python docs/generate.py --examples
	PYTHONPATH=docs:tests $(BIN)/python docs/calls.py

clean:  ## remove what make made
	rm -rf $(VENV) .services
