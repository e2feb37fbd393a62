"""When a Slurm job has to stop."""

import os

import pandas as pd

from mtpd.training import stopping


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
