"""When a stage has to stop, and that nothing ends it before its state is saved."""

import os
import signal
import subprocess

import pandas as pd
import psutil
import pytest
from conftest import progressive_stage
from processes import beside, slow_checkpoints, start_processes
from snakes import changed, checked, command

from mtpd.job import stopping


@pytest.fixture
def slow(tmp_path):
    return slow_checkpoints(tmp_path / "slow")


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None
        psutil.wait_procs([psutil.Process(process.pid)], timeout=0.05)


def one_stage(folder, epochs):
    """An experiment with one data loader, and the checkpoint of its only stage without a teacher."""

    def change(experiment):
        experiment["compute"] = {"workers": 1}
        experiment["arms"]["no-teacher"]["chain"] = f"none@{epochs}"

    stage = f"few-shapes/students/student/alone/none@{epochs}/seed0"
    return changed(folder, "experiment", change), stage


def start_snakemake(folder, slow, config, stage):
    """Snakemake, in a process group of its own, once its stage writes the first checkpoint."""
    running = psutil.Popen(
        command(folder, "--", f"results/{stage}/student.pth", config=checked(folder, config)),
        env={**os.environ, "PYTHONPATH": beside(slow)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(slow / "saving", running)
    return running


def end_as_a_batch_system(running):
    """Wait for the end of the job's first process, then kill what is left of the job at once."""
    processes = running.children(recursive=True)
    running.wait()
    for process in processes:
        if process.is_running():
            process.kill()


def test_the_state_is_saved_when_every_process_of_a_job_gets_sigterm(slow, tmp_path):
    """As from a batch system: Snakemake, the trainer and its data loader."""
    config, stage = one_stage(tmp_path, epochs=3)
    running = start_snakemake(tmp_path, slow, config, stage)
    os.killpg(running.pid, signal.SIGTERM)
    end_as_a_batch_system(running)
    said = (tmp_path / "logs" / stage / "stage.log").read_text()
    assert "stopped early: received SIGTERM; the state is saved" in said
    assert len(list((tmp_path / "work" / stage).glob("*/iter_*.pth"))) == 1


@pytest.mark.slow
def test_snakemake_finishes_a_running_stage_when_it_alone_gets_sigterm(slow, tmp_path):
    config, stage = one_stage(tmp_path, epochs=1)
    running = start_snakemake(tmp_path, slow, config, stage)
    running.send_signal(signal.SIGTERM)
    end_as_a_batch_system(running)
    assert (tmp_path / "results" / stage / "student.pth").exists()


def test_processes_save_their_state_when_their_launcher_gets_sigterm(slow, dataset, teacher, tmp_path):
    stage = progressive_stage(dataset, teacher, micro_batch_size=2)
    running = start_processes(stage, tmp_path, 2, PYTHONPATH=beside(slow))
    wait_for(slow / "saving", running)
    running.send_signal(signal.SIGTERM)
    _, wrong = running.communicate()
    assert running.returncode == 75, wrong[-3000:]
    assert "stopped early: received SIGTERM; the state is saved" in wrong
    assert len(list((tmp_path / "work").glob("*/iter_*.pth"))) == 1


def test_squeue_gives_the_time_limit_where_the_environment_does_not(tmp_path, monkeypatch):
    squeue = tmp_path / "squeue"
    squeue.write_text('#!/bin/sh\n[ "$3" = 17 ] && echo 2030-01-02T03:04:05 || echo NONE\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert stopping.job_ends() is None
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert stopping.job_ends() == pd.Timestamp("2030-01-02T03:04:05").to_pydatetime().timestamp()
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    assert stopping.job_ends() is None
