# Everything a checkout needs: `make demo` runs the main job, `make test` passes the tests. Each makes its own
# environment first.

PYTHON ?= python3
VENV   ?= .venv
ENGINE ?= .engine
RUN    := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit docs test-faults test-install test-properties test-engine test-ray test-browser dist bench clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --editable '.[dev,docs,html]'
	touch $@

$(VENV)/.ray: $(VENV)/.ready
	$(RUN) -m pip install --quiet --editable '.[ray]'
	touch $@

demo: $(VENV)/.ready  ## judge the bundled recordings of real launches, as a gate would
	@$(RUN) examples/demo.py

# While types are checked, which keeps one processor busy, another one reads all tests: each worker would compile them
# anew.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.ready  ## types, style, import rules, and all tests that need neither a GPU nor the engine
	@$(RUN) -m pytest tests --collect-only -qq > /dev/null & $(MAKE) --no-print-directory lint && wait
	@$(MAKE) --no-print-directory unit

lint: $(VENV)/.ready
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy action/trend.py action/comment/comment.py
	$(VENV)/bin/mypy benchmarks
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	PATH="$(abspath $(VENV))/bin:$$PATH" actionlint .github/workflows/*.yml examples/workflows/*.yml
	$(VENV)/bin/zizmor --offline --quiet --config .github/zizmor.yml --persona=pedantic .github examples/workflows/*.yml action.yml action

# Some shells forbid Python to keep what it has compiled; each of the many processes here would compile all anew.
unit: export PYTHONDONTWRITEBYTECODE =
unit: $(VENV)/.ready
	$(RUN) -m pytest tests -n 8 --dist worksteal

docs: $(VENV)/.ready  ## the site of docs/ in build/site; a wrong link is an error
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build
	@echo build/site/index.html

# Most of them wait.
test-faults: export PYTHONDONTWRITEBYTECODE =
test-faults: $(VENV)/.ready  ## kill processes, fill disks and let engines hang
	$(RUN) -m pytest tests/faults tests/plugin -m faults -n 6 --dist worksteal

# Ten times the examples of `make test`.
test-properties: export PYTHONDONTWRITEBYTECODE =
test-properties: $(VENV)/.ready  ## try each property on many more examples
	SGDIFF_TEST_EXAMPLES=4 $(RUN) -m pytest tests/property -n 2 --dist worksteal

test-install: export PYTHONDONTWRITEBYTECODE =
test-install: $(VENV)/.ready  ## install the package into environments of its own, and try the README's commands there
	$(RUN) -m pytest tests/bare -m install

# One thread for each launch, and three at a time on two processors: much of what a launch does is waiting.
test-engine: export PYTHONDONTWRITEBYTECODE =
test-engine: $(VENV)/.ready $(VENV)/.ray  ## install the real engine for the CPU and run it through the plugin
	bash tests/engine/build_engine.sh $(ENGINE)
	SGDIFF_ENGINE_ENV=$(ENGINE) $(RUN) -m pytest tests/engine -m engine -n 3

# Each cluster is some ten processes: one at a time.
test-ray: export PYTHONDONTWRITEBYTECODE =
test-ray: $(VENV)/.ready $(VENV)/.ray  ## launch on a Ray cluster of two nodes on this machine
	$(RUN) -m pytest tests/ray -m ray

test-browser: $(VENV)/.ready  ## look at the HTML report in headless Chromium, where that is installed
	$(RUN) -m pytest tests/browser -m browser

dist: $(VENV)/.ready  ## build wheel and archive, and try the wheel with each Python that is there
	rm -rf dist
	$(RUN) -m build
	$(VENV)/bin/twine check --strict dist/*
	@for version in 3.10 3.11 3.12 3.13 3.14; do \
		python$$version -c '' 2>/dev/null || { echo "python$$version is not here"; continue; }; \
		bash tests/bare/try_wheel.sh dist/*.whl python$$version || exit 1; \
	done

bench: $(VENV)/.ready  ## what the performance claims are measured with
	$(RUN) benchmarks/startup.py
	$(RUN) benchmarks/schedule.py
	$(RUN) benchmarks/lease.py
	$(RUN) benchmarks/lease_stress.py
	$(RUN) benchmarks/decision.py
	$(RUN) benchmarks/scale.py

clean:  ## remove environments and caches
	rm -rf $(VENV) $(ENGINE) .sgdiff .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
