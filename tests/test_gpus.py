"""GPUs are shared among jobs: never two jobs on one, and none is lost."""

import os
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import PROJECT
from snakes import as_checked, changed, snakemake

from mtpd import gpus
from mtpd.detectors import operators

DEVICES = "abcd"
# A job on its GPUs. It holds a lock of its own for each and fails if another job does. The file of these is
# number 0: when a job is killed, the kernel closes files in order, so its own locks go before the GPUs.
JOB = f"""
import fcntl, os, random, sys, time
os.dup2(os.open(sys.argv[1], os.O_RDWR), 0)
names = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
for name in names:
    fcntl.lockf(0, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, {DEVICES!r}.index(name))
ends = time.monotonic() + random.random() / 20
while time.monotonic() < ends:
    pass
print(len(names))
"""


def run(count, folder, kill_after=None):
    """A job on so many GPUs, killed after some seconds: how it ended and what it said."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(DEVICES), "TMPDIR": str(folder)}
    command = [sys.executable, PROJECT / "workflow/scripts/with_gpus.py", str(count)]
    command += [sys.executable, "-c", JOB, folder / "used"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        said, wrong = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        said, wrong = process.communicate()
    return process.returncode, said, wrong


def test_a_storm_of_jobs_never_shares_a_gpu(tmp_path):
    """200 jobs of 1 to 4 GPUs on 4 pretended ones; about a third is killed at a random moment."""
    (tmp_path / "used").touch()
    dice = random.Random(0)
    jobs = [(dice.randint(1, 4), dice.choice([None, None, dice.random()])) for _ in range(200)]
    with ThreadPoolExecutor(16) as pool:
        ended = list(pool.map(lambda job: run(job[0], tmp_path, job[1]), jobs))
    for (count, kill_after), (code, said, wrong) in zip(jobs, ended, strict=True):
        assert (code, said) == (0, f"{count}\n") or (kill_after and code == -9), wrong
    assert any(code == -9 for code, *_ in ended)
    assert run(len(DEVICES), tmp_path) == (0, f"{len(DEVICES)}\n", "")  # all are free again


def test_too_few_gpus_are_an_error(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(RuntimeError, match=r"4 GPUs are needed, but 2 are visible \(0, 1\)"):
        gpus.take(4)


@pytest.mark.parametrize(
    ("named", "found"),
    [("", []), ("-1", []), ("0, 2", ["0", "2"]), ("0,-1,1", ["0"]), ("5,5", ["5"]), ("GPU-ab", ["GPU-ab"])],
)
def test_cuda_visible_devices_names_the_gpus(named, found, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert gpus.visible() == found


def test_the_driver_names_the_gpus(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.visible() == []
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 0, GPU-1\necho 1, GPU-2\n")
    driver.chmod(0o755)
    assert gpus.visible() == ["GPU-1", "GPU-2"]
    driver.write_text("#!/bin/sh\necho No devices were found\n")
    assert gpus.visible() == []


def test_a_gpu_has_one_lock_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 0, GPU-1\necho 1, GPU-2\n")
    driver.chmod(0o755)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert gpus.take(1) == ["1"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert gpus.take(1) == ["GPU-1"]
    (folder,) = tmp_path.glob("mtpd-gpus-*")
    assert {path.name for path in folder.iterdir()} == {"choosing", "GPU-1", "GPU-2"}


@pytest.mark.parametrize("spoil", [lambda f: f.symlink_to("/etc"), lambda f: (f.mkdir(), f.chmod(0o777))])
def test_a_folder_of_locks_that_others_can_change_is_refused(spoil, tmp_path, monkeypatch):
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    spoil(tmp_path / f"mtpd-gpus-{os.getuid()}")
    with pytest.raises(RuntimeError, match="only this user can write to"):
        gpus.take(1)


def with_gpus(folder, count):
    """The tiny experiment, with stages on that many GPUs."""

    def change(experiment):
        experiment["compute"] = {"gpus": count}
        for recipe in experiment["recipes"].values():
            recipe["micro_batch_size"] = 1

    return changed(folder, "gpus", change)


def test_jobs_get_gpus_only_if_the_experiment_asks(tmp_path):
    code, said = snakemake(tmp_path, "-n", "-p")
    assert code == 0, said
    commands = [line for line in said.splitlines() if "workflow/scripts/stage.py" in line]
    assert commands
    assert all(" CUDA_VISIBLE_DEVICES= " in line and "--gpus 0" in line for line in commands)
    code, said = snakemake(tmp_path, "-n", "-p", config=with_gpus(tmp_path, 1))
    assert code == 0, said  # a plan needs no GPU
    commands = [line for line in said.splitlines() if "workflow/scripts/stage.py" in line]
    assert commands
    assert all("with_gpus.py 1 " in line and "--gpus 1" in line for line in commands)


def test_missing_gpus_are_reported_before_the_first_job(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    code, said = snakemake(tmp_path, config=with_gpus(tmp_path, 2))
    assert code != 0
    assert "compute.gpus: found 2, but jobs may use 1 together" in said
    assert not (tmp_path / "results").exists()


def test_downloads_need_no_gpus(tmp_path, monkeypatch):
    """They run where there is a network, which can be another machine than the jobs'."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    code, said = snakemake(tmp_path, "--", "fetched", config=with_gpus(tmp_path, 2))
    assert code == 0, said


@pytest.mark.slow
def test_no_more_jobs_run_than_there_are_gpus_for(tmp_path, monkeypatch):
    """Three stages could start at once; with one simulated GPU they start, and fail, one by one."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    config = as_checked(tmp_path, with_gpus(tmp_path, 1))
    code, said = snakemake(
        tmp_path, "--cores", "4", "--jobs", "4", "--keep-going", "--verbose", config=config
    )
    assert code != 0
    stages = said[said.index("rule train_stage") :]
    assert len(re.findall("^(?:local)?rule train_stage:", said, re.MULTILINE)) == 3
    assert "Execute 1 jobs..." in said
    assert "Execute 2 jobs..." not in stages
    assert "Execute 3 jobs..." not in said


def test_a_limit_below_what_a_job_needs_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    code, said = snakemake(tmp_path, "--resources", "gpu=1", config=with_gpus(tmp_path, 2))
    assert code != 0
    assert "compute.gpus: found 2, but jobs may use 1 together" in said


def test_a_job_without_its_gpus_stops():
    with pytest.raises(RuntimeError, match=r"this job asked for 64 GPUs \(compute.gpus\), but torch .* sees"):
        operators.require_gpus(64)
    operators.require_gpus(0)
