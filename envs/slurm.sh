#!/usr/bin/env bash
# Installs Debian's Slurm for `make test-slurm`, if it is missing. The tests start their own daemons.
set -euo pipefail
if type -P slurmctld slurmd sbatch >/dev/null; then exit 0; fi
stop() { echo "make test-slurm: $1" >&2; exit 1; }
[[ "$(id -u)" == 0 ]] || stop "Slurm is not installed, and installing it needs root (slurmctld slurmd slurm-client)"
command -v apt-get >/dev/null || stop "Slurm is not installed: install slurmctld, slurmd and its commands (no apt-get here)"
echo "make test-slurm: installing slurmctld, slurmd and slurm-client with apt-get"
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends slurmctld slurmd slurm-client
