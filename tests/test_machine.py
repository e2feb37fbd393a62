"""What data loaders need of a machine: open files and shared memory."""

import os
import resource
from types import SimpleNamespace

import pytest
from conftest import PROJECT
from snakes import changed, snakemake

from mtpd import machine
from mtpd.checks import shared_memory

RECIPE = {"batch_size": 16, "scales": None}
DATASET = {"scale": [1333, 800]}
MEBIBYTE = 2**20


def test_a_process_may_open_as_many_files_as_the_machine_allows():
    soft, hard = before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        machine.allow_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_every_script_with_data_loaders_asks_for_open_files():
    scripts = [path.read_text(encoding="utf-8") for path in (PROJECT / "workflow/scripts").glob("*.py")]
    loading = [text for text in scripts if '"--workers"' in text]
    assert len(loading) == 2
    assert all("machine.allow_open_files()" in text for text in loading)


@pytest.mark.parametrize(
    ("loaders", "recipe", "scales", "expected"),
    [
        (0, {}, [1], 0),
        (8, {}, [1], 8 * 2 * 16 * 3 * 1333 * 800),
        (8, {}, [1, 1], 8 * 2 * 16 * 3 * 1333 * 800),  # student and teacher get the same images
        (8, {}, [0.5, 1], 8 * 2 * 16 * 3 * 1333 * 800 * 5 / 4),
        (1, {"batch_size": 1, "scales": [[64, 64], [96, 80]]}, [2], 2 * 3 * 96 * 80 * 4),
    ],
)
def test_what_data_loaders_fill(loaders, recipe, scales, expected):
    detectors = [{"image_scale": scale} for scale in scales]
    assert machine.bytes_of_batches(loaders, RECIPE | recipe, DATASET, detectors) == expected


def test_the_stage_that_fills_most_counts():
    scales = {"student": 0.5, "teacher": 1, "fine": 2, "other": 9}
    spec = {
        "dataset": {"scale": [100, 100]},
        "detectors": {
            name: {"image_scale": scale, "trained": name == "fine"} for name, scale in scales.items()
        },
        "recipes": {
            "small": {"batch_size": 2, "scales": [[64, 64]]},
            "large": {"batch_size": 4, "scales": None},
        },
        "pairs": [("student", "teacher")],
    }
    assert shared_memory.needed(spec, 3) == 3 * 2 * 4 * 3 * 100 * 100 * 4


@pytest.mark.parametrize(
    ("mebibytes", "found"), [(100, "enough"), (99, "warned"), (25, "warned"), (24, "stopped")]
)
def test_shared_memory_that_is_far_too_small_stops(mebibytes, found, monkeypatch):
    status = SimpleNamespace(f_frsize=4096, f_blocks=mebibytes * MEBIBYTE // 4096)
    monkeypatch.setattr(os, "statvfs", lambda path: status)
    monkeypatch.setattr(os.path, "isdir", lambda path: True)
    warned = []
    if found == "stopped":
        with pytest.raises(RuntimeError, match=r"/dev/shm has 24 MiB, .* up to 100 MiB, .* compute\.workers"):
            machine.require_shared_memory(100 * MEBIBYTE, warned.append)
    else:
        machine.require_shared_memory(100 * MEBIBYTE, warned.append)
    assert len(warned) == (found == "warned")


def test_an_experiment_that_would_fill_shared_memory_stops_before_the_first_job(tmp_path):
    """No machine has 10 TB of it."""
    many = changed(tmp_path, "many", lambda e: e.update(compute={"workers": 10**8}))
    code, said = snakemake(tmp_path, "--", "checked", config=many)
    assert code != 0
    assert "Nothing was run:\ncompute.workers: /dev/shm has " in said
