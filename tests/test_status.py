"""What ``make status`` says of real stages that run, were killed, have failed or are done."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from conftest import PROJECT
from snakes import changed

from mtpd import files
from mtpd.experiment import folders, specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import read_file
from mtpd.job import holder as holders
from mtpd.plan import status as statuses

SCRIPTS = PROJECT / "workflow/scripts"
EPOCHS = 8
LAYOUT = Layout("tiny", "few-shapes")
SECONDS = 120  # that a real stage may need until it shows what a test waits for


@pytest.fixture
def experiment(finished, tmp_path):
    """The finished tiny experiment with two more arms: a long stage, and one that diverges."""
    folder = tmp_path / "experiment"
    shutil.copytree(finished, folder, symlinks=True)

    def longer(experiment):
        wild = {**experiment["recipes"]["alone"], "optimizer": {"type": "SGD", "lr": 1e38}}
        experiment["recipes"]["wild"] = wild
        experiment["arms"]["long"] = {"recipe": "pkd", "chain": f"swin@{EPOCHS}+wide@{EPOCHS}"}
        experiment["arms"]["wild"] = {"recipe": "wild", "chain": "none@1"}

    return folder, changed(folder, "longer", longer)


def status(folder, config, **environment):
    """What the script says, in a process of its own that cannot import torch."""
    without = folder / "without_torch"
    without.mkdir(exist_ok=True)
    (without / "torch.py").write_text("raise ImportError('torch was imported')")
    env = {**os.environ, "PYTHONPATH": f"{without}:{PROJECT / 'src'}", **environment}
    done = subprocess.run(
        [sys.executable, SCRIPTS / "status.py", config], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert max(len(line) for line in done.stdout.splitlines() if "/" not in line) <= 80
    return done.stdout


def start(folder, config, recipe, chain, teacher=None):
    """Start a stage as the rule does, with its log."""
    experiment = read_file(config, PROJECT)
    stage = LAYOUT.stage("student", recipe, chain, 0)
    spec = specs.stage(experiment, LAYOUT, "student", recipe, chain, 0)
    files.write_json(folder / "spec.json", spec)
    weights = [LAYOUT.detector(teacher, "weights.pth")] if teacher else []
    arguments = ["--spec", "spec.json", "--teachers", *weights, "--inherit", *weights]
    log = folder / folders.logs(stage) / "stage.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    (folder / stage).mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, SCRIPTS / "stage.py", *arguments, "--student", f"{stage}/student.pth"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT / "src")},
        stdout=open(log, "w", encoding="utf-8"),
        stderr=subprocess.STDOUT,
    )


def steps_done(work):
    """As the stage's own file says; the command itself takes longer than an epoch on a busy machine."""
    progress = work / "progress.json"
    return json.loads(progress.read_text())["steps_done"] if progress.exists() else 0


def words(text):
    """Without the breaks of lines, which depend on the length of paths."""
    return " ".join(text.split())


def wait_until(running, ready):
    """Poll; the first true value."""
    limit = time.monotonic() + SECONDS
    while not (found := ready()):
        assert running.poll() is None and time.monotonic() < limit
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(0.05)
    return found


def test_a_stage_that_runs_is_killed_and_finished(experiment):
    folder, config = experiment
    chain = f"swin@{EPOCHS}"
    name = f"student/pkd/{chain}/seed0"
    assert f"waiting     {name}  can start: it waits for no other stage\n" in status(folder, config)
    assert f"for {name}\n" in status(folder, config)  # its second stage

    running = start(folder, config, "pkd", chain, "swin")
    work = folder / folders.work(LAYOUT.stage("student", "pkd", chain, 0))
    wait_until(running, lambda: list(work.glob("*/iter_*.pth")) and steps_done(work) >= 3)
    running.send_signal(signal.SIGSTOP)  # it still runs, but cannot end before it is looked at
    said = status(folder, config)
    assert "tiny: 9 stages: 6 done, 2 waiting, 0 interrupted, 0 failed, 1 running\n" in said
    assert re.search(
        rf"running     {re.escape(name)}\n +process {running.pid} on {socket.gethostname()}, since \S+\n"
        rf" +epoch [2-8] of {EPOCHS}, step [123] of 3(, AP [\d.]+ so far)?, \d+ s left\n"
        r" +teacher: AP [\d.]+; inherited \d+%; losses [\d.]+ \+ [\d.]+, gradient [\d.]+\n",
        said,
    )
    assert re.search(r"^time left: about \d+ (s|min); 1 at a time", said, re.MULTILINE)

    running.send_signal(signal.SIGKILL)
    running.wait()
    assert (work / holders.FILE).exists()
    saved = max(int(path.stem[5:]) for path in work.glob("*/iter_*.pth"))
    epoch, step = divmod(saved, 3)
    resumes = f"will resume at epoch {epoch + 1} of {EPOCHS}, step {step + 1} of 3\n"
    assert f"interrupted {name}  {resumes}" in status(folder, config)
    progress = json.loads((work / "progress.json").read_text())
    (work / "progress.json").write_text(json.dumps({**progress, "jobs": 3}))
    assert f"interrupted {name} after 3 jobs: {resumes.strip()}" in words(status(folder, config))
    other = changed(folder, "other", lambda e: e["recipes"]["pkd"].update(clip_grad=1), source=config)
    assert "its settings have changed since its last job: it will start over" in words(status(folder, other))

    running = start(folder, config, "pkd", chain, "swin")
    assert running.wait(SECONDS) == 0
    metrics = json.loads((folder / LAYOUT.stage("student", "pkd", chain, 0) / "metrics.json").read_text())
    said = status(folder, config)
    assert f"done        {name}  AP {metrics['bbox']['AP']:.1f}\n" in said
    assert "7 done, 2 waiting, 0 interrupted, 0 failed, 0 running" in said


def test_a_stage_that_has_failed(experiment):
    folder, config = experiment
    running = start(folder, config, "wild", "none@1")
    assert running.wait(SECONDS) != 0
    place = "few-shapes/students/student/wild/none@1/seed0"
    begin = f"failed student/wild/none@1/seed0 final, see work/{place}"
    said = words(status(folder, config))
    assert f"{begin}/failure.txt: DivergedError: " in said
    assert f" log: logs/{place}/stage.log | " in said
    (folder / "work" / place / "failure.txt").unlink()  # as the next start of Snakemake does
    assert re.search(rf"{begin}/\w+/diverged.txt: ", words(status(folder, config)))


def test_a_failure_that_may_pass_is_not_final(experiment):
    folder, config = experiment
    running = start(folder, config, "pkd", f"swin@{EPOCHS}", "no-such-teacher")
    assert running.wait(SECONDS) != 0
    assert re.search(
        r"failed student/pkd/swin@8/seed0 not final: the same command tries again log: \S+/stage.log \| .*"
        r"FileNotFoundError: .*no-such-teacher",
        words(status(folder, config)),
    )


def test_the_order_may_not_be_known_yet(experiment):
    folder, config = experiment
    shutil.rmtree(folder / "results/few-shapes/order")
    said = status(folder, config)
    assert "order not known yet: pool both (student student)" in said
    assert "waiting     student/pkd/stage 1 of direct/seed0\n" in said
    assert "the order of pool both (order_teachers)" in said


def test_the_time_left_comes_from_finished_stages(experiment):
    """Two stages one after the other, which take 8 times 10 and 8 times 20 seconds, and one of 1."""
    folder, config = experiment
    measured = {"pkd/swin@1": 10, "pkd/swin@2": 20, "pkd/swin@1+wide@1": 20, "alone/none@1": 1}
    for stage, seconds in measured.items():
        path = folder / f"results/few-shapes/students/student/{stage}/seed0/benchmark.tsv"
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0\t700.5\n")
    assert "time left: about 4 min; 1 at a time" in status(folder, config)  # 80 + 160 + 1 s
    shutil.rmtree(folder / "results/few-shapes/students/student/pkd/swin@1+wide@1/seed0")
    assert "time left: at least 81 s, and 2 stages of unknown speed" in status(folder, config)


@pytest.mark.parametrize(
    ("change", "alive"),
    [
        ({}, True),
        ({"since": "2020-01-01T00:00:00"}, False),  # another process had this number then
        ({"host": "node7", "pid": 1}, True),
        ({"host": "node7", "age": holders.FORGET_SECONDS + 1}, False),
    ],
)
def test_who_is_alive(change, alive, tmp_path):
    holders.write(tmp_path / holders.FILE)
    found = holders.read(tmp_path / holders.FILE)
    found["seen"] -= change.pop("age", 0)
    assert holders.is_alive({**found, **change}) == alive


def test_a_process_that_has_ended_is_not_alive(tmp_path):
    """Neither before nor after its parent has asked for its status."""
    path = tmp_path / holders.FILE
    code = f"from pathlib import Path; from mtpd.job import holder; holder.write(Path({str(path)!r}))"
    ended = subprocess.Popen([sys.executable, "-c", code])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not holders.is_alive(holders.read(path))
    assert ended.wait() == 0
    assert not holders.is_alive(holders.read(path))


def test_only_the_end_of_a_log_is_read(tmp_path):
    log = tmp_path / "log"
    log.write_text("first\n" + "x" * statuses.LOG_BYTES + "\nlast\n")
    assert "first" not in statuses._end_of(log) and statuses._end_of(log).endswith("last\n")
