"""Kills at random moments of a real experiment: its results are those of an uninterrupted run."""

import contextlib
import itertools
import json
import os
import random
import re
import signal
import subprocess
from collections import Counter

import psutil
import pytest
import torch
from conftest import PROJECT
from snakes import TINY, changed, checked, command, snakemake

from mtpd.detectors import checkpoints

KINDS = (
    "kill the trainer",
    "kill a data worker",
    "kill Snakemake",
    "kill everything",
    "SIGTERM to the trainer",
    "Ctrl-C",
    "kill everything, truncate the last checkpoint",
    "kill everything, zero the last checkpoint",
)


def with_workers(experiment):
    experiment["compute"] = {"workers": 1}


def longer(experiment):
    """Enough epochs that most kills hit training."""
    with_workers(experiment)
    experiment["dataset"].update(name="more-shapes", generate={"train": 48, "val": 6, "size": 64})
    for detector in experiment["detectors"].values():
        detector["train"]["epochs"] = 3
    experiment["arms"]["no-teacher"]["chain"] = "none@3"
    experiment["arms"]["direct"]["epochs"] = 5
    experiment["arms"]["progressive"]["chain"] = "swin@3+wide@3"


class Run:
    """One call of Snakemake on an experiment, which can be hurt."""

    def __init__(self, folder, config):
        self.folder = folder
        arguments = command(folder, "--rerun-incomplete", "--cores", "1", config=config)
        with open(folder / "said", "a", encoding="utf-8") as said:
            self.snakemake = psutil.Popen(
                arguments,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Where the tests run in the background, a shell has told them to ignore Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def trainers(self):
        """The process of the stage that trains, and those of its data workers (copies of it)."""
        found = [
            p for p in self._descendants() if "workflow/scripts/stage.py" in " ".join(self._words(p)[1:2])
        ]
        return sorted(found, key=lambda p: p.pid)

    def _descendants(self):
        try:
            return self.snakemake.children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    @staticmethod
    def _words(process):
        try:
            return process.cmdline()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            return []

    def wait_for_training(self):
        """True once a stage runs, False if the experiment ended first."""
        while self.snakemake.poll() is None:
            if self.trainers():
                return True
            psutil.wait_procs([self.snakemake], timeout=0.05)
        return False

    def lasts(self, seconds):
        return bool(psutil.wait_procs([self.snakemake], timeout=seconds)[1])

    def hurt(self, kind):
        """Do it, and wait until Snakemake has ended of it."""
        everything = [self.snakemake, *self._descendants()]
        trainers = self.trainers()
        if kind == "kill the trainer":
            strike(trainers[:1], signal.SIGKILL)
        elif kind == "kill a data worker":
            strike(trainers[1:2] or trainers[:1], signal.SIGKILL)
        elif kind == "SIGTERM to the trainer":
            strike(trainers[:1], signal.SIGTERM)
        elif kind == "kill Snakemake":  # what it started lives on
            strike([self.snakemake], signal.SIGKILL)
        elif kind == "Ctrl-C":
            os.killpg(self.snakemake.pid, signal.SIGINT)
        else:
            strike(everything, signal.SIGKILL)
            psutil.wait_procs(everything)
        self.snakemake.wait()
        if "checkpoint" in kind:
            damage(self.folder, zero="zero" in kind)
        snakemake(self.folder, "--unlock")


def strike(processes, number):
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def damage(folder, zero):
    states = sorted(folder.glob("work/**/iter_*.pth"), key=lambda path: path.stat().st_mtime)
    for path in states[-1:]:
        size = path.stat().st_size
        path.write_bytes(bytes(size) if zero else path.read_bytes()[: size // 2])


def run_with_faults(folder, config, kinds, rng):
    """Run an experiment to its end, hurting it once for each kind; those that happened are returned."""
    (folder / "config").symlink_to(PROJECT / "config")
    kinds, happened = list(kinds), []
    while True:
        run = Run(folder, config)
        while kinds and run.wait_for_training() and run.lasts(rng.uniform(0, 12)):
            if run.trainers():
                happened.append(kinds.pop())
                run.hurt(happened[-1])
                break
        else:
            if run.snakemake.wait() == 0:
                return happened
            assert kinds, (folder / "said").read_text()[-3000:]


def assert_same_results(found, expected):
    students = sorted(expected.glob("results/*/students/**/student.pth"))
    assert students
    for path in students:
        ours = checkpoints.read_weights(found / path.relative_to(expected))
        theirs = checkpoints.read_weights(path)
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs), path
    for path in sorted(expected.glob("results/*/**/metrics.json")):
        assert (found / path.relative_to(expected)).read_bytes() == path.read_bytes(), path


def epochs_trained(folder):
    """How often each epoch of each stage was trained."""
    said = (folder / "said").read_text()
    return Counter(re.findall(r"^(\S+seed\d+: epoch \d+/\d+)  loss", said, re.MULTILINE))


def assert_little_was_repeated(folder, kills):
    repeated = sum(times - 1 for times in epochs_trained(folder).values())
    assert repeated <= kills
    return repeated


@pytest.mark.slow
def test_a_few_faults_change_nothing(finished, tmp_path):
    config = changed(tmp_path, "tiny", with_workers)
    kinds = [
        "kill everything, truncate the last checkpoint",
        "SIGTERM to the trainer",
        "kill a data worker",
        "Ctrl-C",
    ]
    happened = run_with_faults(tmp_path, config, kinds, random.Random(0))
    assert happened
    assert_same_results(tmp_path, finished)
    assert_little_was_repeated(tmp_path, len(happened))


def test_a_second_snakemake_is_kept_out(tmp_path):
    (tmp_path / "config").symlink_to(PROJECT / "config")
    run = Run(tmp_path, checked(tmp_path, TINY))
    while not list(tmp_path.glob(".snakemake/locks/*")):
        assert run.snakemake.poll() is None
    code, said = snakemake(tmp_path)
    assert run.snakemake.poll() is None
    run.hurt("kill everything")
    assert code != 0
    assert "cannot be locked" in said


@pytest.mark.faults
def test_many_faults_change_nothing(tmp_path):
    """Whole experiments until every kind of fault has happened four times; prints figures (``pytest -s``)."""
    peaceful = tmp_path / "peaceful"
    peaceful.mkdir()
    (peaceful / "config").symlink_to(PROJECT / "config")
    config = changed(tmp_path, "longer", longer)
    code, said = snakemake(peaceful, config=config)
    assert code == 0, said
    rng, left = random.Random(1), list(KINDS) * 4
    rng.shuffle(left)
    for number in itertools.count():
        folder = tmp_path / f"hurt{number}"
        folder.mkdir()
        happened = run_with_faults(folder, config, left, rng)
        left = left[: len(left) - len(happened)]
        assert_same_results(folder, peaceful)
        repeated = assert_little_was_repeated(folder, len(happened))
        epochs = len(epochs_trained(folder))
        print(json.dumps({"faults": Counter(happened), "epochs": epochs, "repeated": repeated}), flush=True)
        if not left:
            return
