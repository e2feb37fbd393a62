SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CORES ?= all
STUDY ?= main
NEEDS_CONFIG = $(if $(CONFIG),,$(error name the experiment: make $@ CONFIG=my.yaml))
NEEDS_STUDENT = $(if $(filter %/student.pth,$(STUDENT)),,$(error name the student: make $@ STUDENT=results/.../student.pth CONFIG=my.yaml))
# The first interpreter that answers as 3.11 or 3.12 (Snakemake 9 needs at least 3.11). Name one with PYTHON=...
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python; do \
	$$p -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	&& echo $$p && break; done)
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
READY := $(VENV)/ready
export PATH := $(BIN):$(PATH)

.PHONY: help setup demo zoo study new fetch plan status rehearsal report export paper test test-slow test-faults test-slurm bench lint clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv and install the pinned packages; MMCV_WHEEL or MMCV_INDEX name a ready mmcv

$(READY): envs/install.sh envs/requirements.txt envs/build-requirements.txt pyproject.toml
	@[[ -n "$(PYTHON)" ]] || { echo "no Python 3.11 or 3.12 found: install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(BIN)/python" -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV) || \
		{ echo "cannot make a virtual environment: install venv (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@PYTHON="$(BIN)/python" envs/install.sh
	@touch $@

demo: $(READY) ## run the demo experiment (config/config.yaml) to tables, plots and a report page
	snakemake --cores $(CORES) -- all reported
	@echo "tables and plots: results/demo; open results/demo/report.html"

zoo: $(READY) ## train the teachers of the demo and the studies again (config/zoo.yaml), and write their weights
	snakemake --cores $(CORES) --configfile config/zoo.yaml -- published
	@echo "half-precision weights and cards: results/zoo/published (config/zoo has those that ship)"

study: $(READY) ## run a study of config/studies: make study STUDY=main (hours: see docs/evidence.md)
	snakemake --cores $(CORES) --configfile config/studies/$(STUDY).yaml
	@echo "tables and plots: results/study-$(STUDY)"

new: $(READY) ## write an experiment file for your data in COCO format: make new NAME=cells DATA=path/to/cells
	@$(if $(and $(NAME),$(DATA)),,$(error name the experiment and the folder of its data: make new NAME=cells DATA=path/to/cells))
	@PYTHONPATH=src python workflow/scripts/new.py "$(NAME)" "$(DATA)" $(if $(GPUS),--gpus $(GPUS))

fetch: $(READY) ## download all that an experiment needs from the network: make fetch CONFIG=my.yaml
	$(NEEDS_CONFIG)snakemake --cores $(CORES) --keep-going --configfile $(CONFIG) -- fetched

report: $(READY) ## write the report page of an experiment: make report CONFIG=my.yaml
	$(NEEDS_CONFIG)snakemake --cores $(CORES) --configfile $(CONFIG) -- reported

export: $(READY) ## a student as ONNX with a card, beside it: make export STUDENT=results/.../student.pth CONFIG=my.yaml
	$(NEEDS_STUDENT)snakemake --cores $(CORES) $(if $(CONFIG),--configfile $(CONFIG)) -- $(STUDENT:student.pth=export/student.onnx)
	@echo "model, program and card: $(STUDENT:student.pth=export)"

paper: $(READY) ## gather the finished results of config/paper beside the paper's (docs/reproducing.md)
	PYTHONPATH=src python workflow/scripts/paper.py --published config/paper/results.csv \
		--rows $(wildcard results/*/rows.json) --csv results/paper/paper.csv --md results/paper/paper.md
	@echo "table: results/paper/paper.md"

plan: $(READY) ## say what an experiment costs before it runs: make plan CONFIG=my.yaml SPEEDS=speeds.csv GPUS=16
	@$(NEEDS_CONFIG)PYTHONPATH=src python workflow/scripts/plan.py $(CONFIG) $(if $(SPEEDS),--speeds $(SPEEDS)) $(if $(GPUS),--gpus $(GPUS)) \
		$(if $(OUT),--out $(OUT))

status: $(READY) ## say which stages are done, run, have failed or wait: make status CONFIG=my.yaml
	@$(NEEDS_CONFIG)PYTHONPATH=src python workflow/scripts/status.py $(CONFIG)

rehearsal: $(READY) ## run an experiment's whole graph in minutes, to find mistakes: make rehearsal CONFIG=my.yaml
	$(NEEDS_CONFIG)snakemake --cores $(CORES) --configfile $(CONFIG) --config rehearsal=true
	@echo "rehearsed: every job has run on a few generated images; tables and plots in results/rehearsal mean nothing"

test: $(READY) ## run the default test suite, in two processes
	pytest -n 2

test-slow: $(READY) ## run the tests that the default suite leaves out
	pytest -m slow

test-faults: $(READY) ## interrupt the tiny experiment many times and compare results (15 minutes)
	pytest -m faults

test-slurm: $(READY) ## run the tests on a Slurm cluster of one node (installs Debian's Slurm; root)
	envs/slurm.sh
	pytest -n 2 -m slurm

bench: $(READY) ## measure what this software costs: make bench, or one of benchmarks/: make bench ROW=planning
	PYTHONPATH=src python -m benchmarks $(ROW)

lint: $(READY) ## ruff, snakefmt, snakemake --lint
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint

clean: ## remove the environment (results stay)
	rm -rf $(VENV)
