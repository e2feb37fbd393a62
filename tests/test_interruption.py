"""What the terminal says after Ctrl-C, by real Snakemake."""

import contextlib
import os
import signal
import subprocess

import psutil
from snakes import changed, command

from mtpd.job.interruption import INTERRUPTED, STOPPING, Interruption


def slow(folder):
    """The tiny experiment with more images than are drawn before a test ends."""
    return changed(folder, "slow", lambda it: it["dataset"]["generate"].update(train=10**6))


def interrupted(folder, ready, *arguments):
    """All that Snakemake says if Ctrl-C is pressed once ``ready``, a function of its process, is true."""
    with open(folder / "said", "w", encoding="utf-8") as said:
        process = psutil.Popen(
            command(folder, *arguments, config=slow(folder)),
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Where the tests run in the background, a shell has told them to ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        while not ready(process) and not psutil.wait_procs([process], timeout=0.05)[0]:
            pass
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) != 0
    return (folder / "said").read_text(encoding="utf-8")


def test_the_last_line_after_ctrl_c_is_no_error(tmp_path):
    """In a job: the checks before the first one, which take long, are left out."""
    image = tmp_path / "results/few-shapes/data/train/train_000050.png"
    target = "results/few-shapes/data/train.json"
    said = interrupted(tmp_path, lambda _: image.exists(), "--no-hooks", "--", target)
    assert STOPPING in said and said.splitlines()[-1] == INTERRUPTED
    assert "rror" not in said.partition(STOPPING)[2]


def is_checking(process):
    """Whether the program of the checks runs. (While Snakemake writes a message, it ignores Ctrl-C.)"""
    with contextlib.suppress(psutil.Error):  # another child has just ended
        return any("workflow/scripts/check.py" in " ".join(child.cmdline()) for child in process.children())


def test_ctrl_c_before_the_first_job_gives_no_traceback(tmp_path):
    said = interrupted(tmp_path, is_checking)
    assert said.splitlines()[-1] == INTERRUPTED and "Traceback" not in said


def test_errors_before_ctrl_c_are_shown():
    told = Interruption()
    for text, event, error in (("failed", "error", "RuleException"), (None, "job_error", None)):
        assert told.instead_of(text, event, error) is None
    assert told.instead_of("At least one job did not ...", "error", "WorkflowError") is None
