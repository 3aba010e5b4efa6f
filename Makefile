# Everything a checkout needs: `make demo` runs the main job, `make test` passes the tests. Each makes its own
# environment first.

PYTHON ?= python3
VENV   ?= .venv
ENGINE ?= .engine
RUN    := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit test-engine test-browser bench clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --editable '.[dev,html]'
	touch $@

demo: $(VENV)/.ready  ## judge the bundled recordings of real launches, as a gate would
	@$(RUN) examples/demo.py

test: lint unit  ## types, style, import rules, and all tests that need neither a GPU nor the engine

lint: $(VENV)/.ready
	$(VENV)/bin/mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

# Some shells forbid Python to keep what it has compiled; each of the many processes here would compile all anew.
unit: export PYTHONDONTWRITEBYTECODE =
unit: $(VENV)/.ready
	$(RUN) -m pytest tests -n 8 --dist worksteal

# One thread for each launch and two at a time: what a launch does beside its request is waiting and imports.
test-engine: export PYTHONDONTWRITEBYTECODE =
test-engine: $(VENV)/.ready  ## install the real engine for the CPU and run it through the plugin
	bash tests/engine/build_engine.sh $(ENGINE)
	SGDIFF_ENGINE_ENV=$(ENGINE) $(RUN) -m pytest tests/engine -m engine -n 2 --dist loadfile

test-browser: $(VENV)/.ready  ## look at the HTML report in headless Chromium, where that is installed
	$(RUN) -m pytest tests/browser -m browser

bench: $(VENV)/.ready  ## what the performance claims are measured with
	$(RUN) benchmarks/startup.py
	$(RUN) benchmarks/schedule.py
	$(RUN) benchmarks/lease.py
	$(RUN) benchmarks/lease_stress.py
	$(RUN) benchmarks/decision.py

clean:  ## remove environments and caches
	rm -rf $(VENV) $(ENGINE) .sgdiff .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
