"""Lines of progress reach a terminal or file that Snakemake writes to as well."""

import os
import subprocess
import sys

import pytest
from conftest import PROJECT

from mtpd import files
from mtpd.job import progress
from mtpd.job.progress import FILE, ProgressFile, duration

SCRIPT = """
import sys
from mtpd.job.progress import teller
say = teller("a stage", sys.argv[sys.argv.index("--progress") + 1])
say("epoch 1/2")
say("epoch 2/2")
"""


@pytest.mark.parametrize("processes", [0, 2])
def test_lines_in_a_file_are_neither_lost_nor_overwritten(processes, tmp_path):
    """As the rule starts a stage: alone, or by the launcher of several processes."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    launcher = [PROJECT / "workflow/scripts/processes.py", str(processes)] if processes else []
    command = " ".join(map(str, [sys.executable, *launcher, script]))
    env = {**os.environ, "PYTHONPATH": str(PROJECT / "src"), "OMP_NUM_THREADS": "1"}
    with open(tmp_path / "said", "w", encoding="utf-8") as said:
        print("start", file=said, flush=True)
        rule = f"exec 3>&2; exec env {command} --progress /proc/$$/fd/3 > {tmp_path}/log 2>&1"
        subprocess.run(["bash", "-c", rule], env=env, stderr=said, check=True)
        print("done", file=said, flush=True)
    lines = (tmp_path / "said").read_text().splitlines()
    times = max(1, processes)  # here, unlike in a stage, each process speaks
    assert (lines[0], lines[-1]) == ("start", "done")
    assert sorted(lines[1:-1]) == ["a stage: epoch 1/2"] * times + ["a stage: epoch 2/2"] * times


def test_processes_go_on_when_the_terminal_is_gone(tmp_path):
    """With more lines than a pipe holds."""
    script = tmp_path / "script.py"
    script.write_text("import sys\nopen(sys.argv[-1], 'a').write('line\\n' * 10**5)\n")
    source, sink = os.pipe()
    os.close(source)
    launcher = f"{sys.executable} {PROJECT}/workflow/scripts/processes.py 1 {script}"
    rule = f"exec 3>&{sink}; exec {launcher} --progress /proc/$$/fd/3 > {tmp_path}/log 2>&1"
    subprocess.run(["bash", "-c", rule], pass_fds=[sink], check=True, timeout=60)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (119, "119 s"),
        (150, "2 min"),
        (7100, "118 min"),
        (7200, "2 h 00 min"),
        (9e4, "25 h 00 min"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


class Clock:
    """In place of the module ``time``: a job lasts as long as the test says."""

    now = 0.0

    def monotonic(self):
        return self.now


def test_seconds_of_interrupted_jobs_add_up(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    for seconds in (100, 40):
        job = ProgressFile(tmp_path / "abc", writes=True)
        clock.now += seconds
        job.write(AP=None)
    written = files.read_json(tmp_path / FILE)
    assert (written["jobs"], written["seconds"]) == (2, 140)
    third = ProgressFile(tmp_path / "abc", writes=True)
    assert third.jobs() == {"earlier_jobs": 2, "seconds_of_earlier_jobs": 140}
    with_other_settings = ProgressFile(tmp_path / "def", writes=True)
    assert with_other_settings.jobs() == {"earlier_jobs": 0, "seconds_of_earlier_jobs": 0}


def test_a_file_of_a_version_that_did_not_count_is_one_job(tmp_path):
    files.write_json(tmp_path / FILE, {"state": "abc", "pid": 1})
    job = ProgressFile(tmp_path / "abc", writes=True)
    assert job.jobs() == {"earlier_jobs": 1, "seconds_of_earlier_jobs": 0}
