#!/usr/bin/env bash
# Installs Debian's Slurm for `make test-slurm`, if it is missing. The tests start daemons of their own.
set -euo pipefail
stop() { echo "make test-slurm: $1" >&2; exit 1; }
[[ "$(id -u)" == 0 ]] || stop "needs root, to start Slurm's daemons"
if type -P slurmctld slurmd sbatch >/dev/null; then exit 0; fi
type -P apt-get >/dev/null || stop "Slurm is not installed, and there is no apt-get: install slurmctld, slurmd and sbatch"
echo "make test-slurm: installing slurmctld, slurmd and slurm-client with apt-get"
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends slurmctld slurmd slurm-client
