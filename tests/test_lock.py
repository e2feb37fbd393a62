"""The lock of a stage's folder."""

import json
import os
import subprocess
import sys
import textwrap
import time

import pytest
from conftest import PROJECT

from mtpd.training import lock
from mtpd.training.errors import LockedError

HOLD = """
import sys, time
from pathlib import Path
from mtpd.training import lock

with lock.held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder's lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_refused_and_the_holder_is_named(holder, tmp_path):
    words = rf"in use by process {holder.pid} on .*: wait for it"
    with pytest.raises(LockedError, match=words), lock.held(tmp_path, wait=0):
        pass


def test_a_second_process_waits(holder, tmp_path):
    holder.stdin.close()
    with lock.held(tmp_path, wait=60):
        assert holder.wait() == 0


def test_the_lock_of_a_dead_process_is_taken_over(holder, tmp_path):
    holder.kill()
    holder.wait()
    with lock.held(tmp_path, wait=0):
        assert json.loads((tmp_path / "holder.json").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "holder.json").exists()


def test_a_holder_on_another_machine_counts_as_alive_while_it_refreshes(tmp_path):
    file = tmp_path / "holder.json"
    file.write_text(json.dumps({"host": "node7", "pid": 1, "job": "42", "since": "2026-01-01T00:00:00"}))
    with pytest.raises(LockedError, match="process 1 on node7, job 42"), lock.held(tmp_path, wait=0):
        pass
    long_ago = time.time() - lock.FORGET_SECONDS - 1
    os.utime(file, (long_ago, long_ago))
    with lock.held(tmp_path, wait=0):
        assert json.loads(file.read_text())["host"] != "node7"
