#!/usr/bin/env bash
# Snakemake runs this inside the new environment, from the working directory of the workflow.
set -euo pipefail
PYTHON="$CONDA_PREFIX/bin/python" bash envs/install.sh
