"""The lock of a stage's folder, with real processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from filelock import FileLock

from mtpd.job import holder as holders
from mtpd.job import lock
from mtpd.job.stopping import Stop

HOLD = """
import sys
from pathlib import Path
from mtpd.job import lock
from mtpd.job.errors import StoppedEarly
from mtpd.job.stopping import Stop

say = lambda text: print(text, flush=True)
try:
    with Stop() as stop, lock.held(Path(sys.argv[1]), stop, say):
        say("held")
        sys.stdin.readline()
except StoppedEarly as reason:
    say(reason)
    sys.exit(75)
"""
ELSEWHERE = {"host": "node7", "pid": 1, "job": "42", "since": "2026-01-01T00:00:00"}


@pytest.fixture
def start(tmp_path):
    """Starts a process that takes the folder's lock, says so, and gives it back after a line of input."""
    processes = []

    def start(**environment):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def says(process, words):
    line = process.stdout.readline()
    assert words in line
    return line


def test_a_second_process_waits_and_says_for_whom(start, tmp_path):
    first = start()
    says(first, "held")
    second = start()
    line = says(second, f"waiting for process {first.pid} on ")
    assert f", which works in {tmp_path}: if it should not, end it" in line
    first.stdin.close()
    says(second, "held")
    assert first.wait() == 0


@pytest.mark.parametrize("reason", ["signal", "time limit"])
def test_the_wait_ends_when_there_is_a_reason_to_stop(reason, start):
    says(start(), "held")
    if reason == "signal":
        second = start()
        says(second, "waiting for process")
        second.send_signal(signal.SIGTERM)
        says(second, "received SIGTERM while another process worked on the stage")
    else:
        second = start(SLURM_JOB_END_TIME=str(time.time()))
        says(second, "the job's time limit is near while another process")
    assert second.wait() == 75


def test_the_lock_of_a_killed_process_is_taken_over(start, tmp_path):
    first = start()
    says(first, "held")
    second = start()
    says(second, "waiting for process")
    first.kill()
    says(second, "held")
    assert json.loads((tmp_path / "holder.json").read_text())["pid"] == second.pid
    second.stdin.close()
    assert second.wait() == 0
    assert not (tmp_path / "holder.json").exists()


def test_a_holder_on_another_machine_is_waited_for_while_it_refreshes(start, tmp_path):
    """As on a file system that does not share locks: only the file tells that it lives."""
    holder = tmp_path / "holder.json"
    holder.write_text(json.dumps(ELSEWHERE))
    waiting = start()
    says(waiting, "waiting for process 1 on node7, job 42, since 2026-01-01T00:00:00, which works in")
    long_ago = time.time() - holders.FORGET_SECONDS - 1
    os.utime(holder, (long_ago, long_ago))
    says(waiting, "held")
    assert json.loads(holder.read_text())["host"] != "node7"


def test_the_holder_refreshes_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "REFRESH_SECONDS", 0.01)
    holder = tmp_path / "holder.json"
    with Stop() as stop, lock.held(tmp_path, stop, print):
        os.utime(holder, (0, 0))
        limit = time.monotonic() + 60
        while holder.stat().st_mtime == 0:
            assert time.monotonic() < limit, "the file is not refreshed"


def test_a_process_that_waits_for_another_machine_does_not_hold_the_lock(tmp_path):
    """Otherwise it would seem to be the holder, and not give the lock back at the end."""
    holder = tmp_path / "holder.json"
    holder.write_text(json.dumps(ELSEWHERE))
    own = FileLock(tmp_path / "lock")
    assert not lock._try_to_acquire(own, holder)
    assert not own.is_locked
    holder.unlink()
    assert lock._try_to_acquire(own, holder)
    own.release()
    assert not own.is_locked


def test_who_is_waited_for_is_said_once(tmp_path, monkeypatch):
    """And again when another process works in the folder."""
    holder, hosts, said = tmp_path / "holder.json", iter(["node7", "node7", "node8", "node8", None]), []

    def attempt(*_):
        host = next(hosts)
        holder.write_text(json.dumps({**ELSEWHERE, "host": host}))
        return host is None

    monkeypatch.setattr(lock, "_try_to_acquire", attempt)
    monkeypatch.setattr(lock, "RETRY_SECONDS", 0)
    with Stop() as stop:
        lock._acquire(None, holder, stop, said.append)
    assert [re.search(r"on (\w+), job", line)[1] for line in said] == ["node7", "node8"]
