#!/usr/bin/env bash
# Installs the pinned set and this project into the environment of $PYTHON. Calling it again continues.
#   PYTHON      the interpreter to install into (default: python)
#   MMCV_WHEEL  a ready wheel of onedl-mmcv for the pinned torch; skips the build
#   MMCV_INDEX  a page of wheels (pip --find-links) that has one
#   MAX_JOBS    compilers that run at once (default: all cores)
#   TORCH_CUDA_ARCH_LIST  the GPUs to build mmcv's operators for where none is in sight, as on a head node: 8.0 for an
#               A100, 9.0 for an H100, "8.0;9.0" for both; needs nvcc of torch's CUDA
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python}
mmcv=onedl-mmcv==2.3.6
log=$project/logs/install.log
mkdir -p "$project/logs"

step() { printf '[install] %s\n' "$*" >&2; }

pip() { "$python" -m pip --disable-pip-version-check "$@"; }

quietly() {
    "$@" >>"$log" 2>&1 || { tail -n 30 "$log" >&2; step "failed: $*; the whole log is $log"; exit 1; }
}

has_operators() { "$python" -c 'import mmcv.ops' >/dev/null 2>&1; }

# Ninja prints "[done/all] command" for each compiled file; a line for each tenth is enough to see it move.
show_progress() {
    awk -F'[][/ ]' '/^ *\[[0-9]+\/[0-9]+\]/ {
        sub(/^ */, ""); tenth = int(10 * $2 / $3)
        if (tenth != last) { printf "[install] mmcv: %d of %d files compiled\n", $2, $3; fflush(); last = tenth }
    }'
}

build_mmcv() {
    # mmcv builds operators for GPUs where it sees one. Where it sees none, torch must be told which GPUs to build for.
    [[ -z ${TORCH_CUDA_ARCH_LIST:-} ]] || export FORCE_CUDA=1
    step "compiling mmcv with its operators: about 12 minutes on 2 cores (a cached wheel is used where there is one)"
    # Without torch in sight, as under pip's build isolation, mmcv builds without operators and says nothing.
    MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(nproc)} "$python" -m pip --disable-pip-version-check install -v \
        --no-deps --no-build-isolation "$mmcv" 2>&1 | tee -a "$log" | show_progress >&2 ||
        { step "mmcv did not build; the compiler's output is in $log"; exit 1; }
}

install_mmcv() {
    if has_operators; then
        return
    elif [[ -n ${MMCV_WHEEL:-} ]]; then
        quietly pip install --no-deps "$MMCV_WHEEL"
    elif [[ -n ${MMCV_INDEX:-} ]]; then
        quietly pip install --no-deps --only-binary onedl-mmcv --find-links "$MMCV_INDEX" "$mmcv"
    else
        build_mmcv
    fi
}

command -v g++ >/dev/null || [[ -n ${MMCV_WHEEL:-}${MMCV_INDEX:-} ]] ||
    { step "no C++ compiler: install g++ (Debian: apt-get install g++; conda: conda install gxx)"; exit 1; }

: >"$log"
step "1/4 torch and build tools"
quietly pip install -r "$project/envs/build-requirements.txt"
step "2/4 the pinned packages"
quietly pip install -r "$project/envs/requirements.txt"
step "3/4 mmcv"
install_mmcv
"$python" -c 'import mmcv.ops' ||
    { step "mmcv has no operators for this torch: run '$python -m pip uninstall onedl-mmcv' and install again"; exit 1; }
cuda=$("$python" -c 'from mmcv.ops import get_compiling_cuda_version as version; print(version())')
if [[ $cuda == "not available" ]]; then
    step "mmcv has operators for CPUs only, as no GPU was in sight. For a cluster's GPUs: 'make clean', then set"
    step "TORCH_CUDA_ARCH_LIST (8.0 for an A100, 9.0 for an H100), MMCV_WHEEL or MMCV_INDEX, and install again"
else
    step "mmcv has operators for CPUs and GPUs (CUDA $cuda)"
fi
step "4/4 this project"
quietly pip install --no-deps --no-build-isolation -e "$project"
quietly pip check
step "done"
