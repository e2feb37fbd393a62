"""Errors of the machine: a stage starts again, but not for ever; too little memory says what to lower."""

import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from conftest import PROJECT

from mtpd.job import failures
from mtpd.job.errors import StoppedEarly

BROKEN = RuntimeError("CUDA error: no kernel image is available")
STOPPED = StoppedEarly("received SIGTERM")
KILLED = KeyboardInterrupt()  # it passes through as a kill does: no exception is handled
SAVED = "a step is saved"


def start(work, end):
    """A start of a stage that ends in this error, or that saves its next step."""
    if end is SAVED:
        (work / "state").mkdir(exist_ok=True)
        saved = len(list(work.glob("*/iter_*.pth")))
        (work / f"state/iter_{saved:09d}.pth").touch()
        return
    with pytest.raises(type(end)), failures.final_written(work):
        raise end


@pytest.mark.parametrize(
    ("ends", "final"),
    [
        ([BROKEN, BROKEN], False),
        ([BROKEN, BROKEN, BROKEN], True),
        ([BROKEN, BROKEN, SAVED, BROKEN, BROKEN], False),
        ([BROKEN, BROKEN, SAVED, BROKEN, BROKEN, BROKEN], True),
        ([SAVED, BROKEN, BROKEN, BROKEN], True),
        ([STOPPED] * 9 + [KILLED] * 9 + [BROKEN, STOPPED, KILLED, BROKEN], False),
        ([BROKEN, STOPPED, BROKEN, KILLED, BROKEN], True),
    ],
)
def test_errors_that_do_not_pass_are_final(ends, final, tmp_path):
    for end in ends:
        assert not (tmp_path / failures.FINAL).exists()
        start(tmp_path, end)
    assert (tmp_path / failures.FINAL).exists() == final
    if final:
        said = (tmp_path / failures.FINAL).read_text(encoding="utf-8")
        nodes = ", ".join([socket.gethostname()] * 3)
        assert said.startswith(f"RuntimeError: {BROKEN}\n")
        assert f"The stage has ended in errors 3 times (on {nodes}) and saved no step in between" in said
        assert "To try anew, start again" in said
        (tmp_path / failures.FINAL).unlink()
        start(tmp_path, BROKEN)
        assert not (tmp_path / failures.FINAL).exists()


def test_errors_after_a_reason_to_stop_do_not_count(tmp_path):
    """At the end of a job, a batch system may end a tracker's server before the stage."""
    for _ in range(4):
        with (
            pytest.raises(RuntimeError),
            failures.final_written(tmp_path, SimpleNamespace(reason="received SIGTERM")),
        ):
            raise BROKEN
    assert list(tmp_path.iterdir()) == []


def test_a_start_of_several_processes_counts_once(tmp_path):
    """When one has failed, the others lose it: their errors are no news."""
    for _ in range(failures.MOST_ERRORS):
        assert not (tmp_path / failures.FINAL).exists()
        processes = [failures.final_written(tmp_path) for _ in range(2)]
        for process in processes:
            process.__enter__()
        for process, error in zip(processes, (BROKEN, RuntimeError("Connection closed")), strict=True):
            assert not process.__exit__(type(error), error, None)  # the error goes on
    said = (tmp_path / failures.FINAL).read_text(encoding="utf-8")
    assert said.startswith(f"RuntimeError: {BROKEN}\n")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), failures.FOR_GPU),
        (RuntimeError("CUDA error: out of memory"), failures.FOR_GPU),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), failures.FOR_MACHINE),
        (MemoryError("Unable to allocate 9.31 GiB for an array"), failures.FOR_MACHINE),
        (OSError(12, "Cannot allocate memory"), failures.FOR_MACHINE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_memory_says_what_to_lower(error, told, tmp_path):
    """In the log each time, where Python shows notes with the traceback, and in the final failure."""
    for _ in range(failures.MOST_ERRORS):
        error.__notes__ = []
        start(tmp_path, error)
        assert error.__notes__ == [told]
    keys = {"micro_batch_size", "dataset.scale"}
    keys |= {"precision"} if told is failures.FOR_GPU else {"compute.mem_mb", "compute.workers"}
    said = (tmp_path / failures.FINAL).read_text(encoding="utf-8")
    assert all(key in said for key in keys)


def test_torch_says_so_when_memory_is_too_small(tmp_path):
    with pytest.raises(RuntimeError) as error, failures.final_written(tmp_path):
        torch.empty(10**15)
    assert error.value.__notes__ == [failures.FOR_MACHINE]


def test_a_broken_installation_is_final_after_three_starts(tmp_path):
    """It shows before the stage begins: where its script imports torch."""
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object file')")
    (tmp_path / "spec.json").write_text("{}")
    script = [sys.executable, PROJECT / "workflow/scripts/stage.py", "--spec", "spec.json"]
    path = os.pathsep.join([str(tmp_path), str(PROJECT / "src")])
    work = tmp_path / "work/s"
    for count in (1, 2, None):
        done = subprocess.run(
            [*script, "--student", "results/s/student.pth"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            encoding="utf-8",
        )
        assert "ImportError: libcudart" in done.stderr
        assert done.returncode == 1
        assert (work / failures.FINAL).exists() == (count is None)
        if count:
            assert len(json.loads((work / failures.ERRORS).read_text(encoding="utf-8"))["nodes"]) == count
