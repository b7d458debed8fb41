# SPDX-License-Identifier: Apache-2.0
# One word per job; each word sets up what it needs on a fresh machine.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest
JOBS   ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup tools lint test test-long demo platforms firmware provision vboard dsm-native synth clean

help:
	@echo "make setup      virtual environment and pip packages"
	@echo "make demo       attest, key, lock, use and attack the endpoint on the virtual board"
	@echo "make test       the gate of every merge: lint, unit, firmware, one system run"
	@echo "make test-long  full vectors, error rows, faults and lives of a session on simulated boards"
	@echo "make platforms  scenarios of every platform model on virtual boards, each check switched off"
	@echo "make lint       Verilator -Wall per module, ruff, mypy"
	@echo "make synth      the whole endpoint through read_slang and synth_ecp5, against its budgets"
	@echo "make firmware   boot ROM and firmware images"
	@echo "make vboard     build the virtual board"
	@echo "make dsm-native the firmware as a Linux process; teeio reaches it as native:"
	@echo "make clean      remove build/"

tools:
	@for t in g++ make perl; do command -v $$t >/dev/null || \
	  { echo "$$t is missing: install it (Debian: apt-get install g++ make perl)"; exit 1; }; done
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $(PYTHON) is older: set PYTHON="; exit 1; }

$(STAMP): pyproject.toml | tools
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[sim,dev]'
	@touch $@

setup: $(STAMP)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m sim.lint

firmware: $(STAMP)
	$(BIN)/python -m sim.firmware

vboard: $(STAMP)
	$(BIN)/python -m sim.vboard

dsm-native: $(STAMP)
	$(BIN)/python -m sim.native

demo: $(STAMP)
	$(BIN)/teeio demo

platforms: $(STAMP)
	$(BIN)/teeio platform run all --mutate --out build/platforms/report.json \
	  --html build/platforms/report.html

test: $(STAMP)
	$(PYTEST) -m "not long" -n $(JOBS) --dist loadfile -q

test-long: $(STAMP)
	$(PYTEST) -m long -n $(JOBS) --dist loadfile -q

synth: $(STAMP)
	$(BIN)/python -m sim.synth

clean:
	rm -rf build
