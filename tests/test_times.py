"""Files with a time in the future, after which Snakemake removes the results of every job that reads them."""

import os
import shutil
import time

from conftest import PROJECT
from snakes import snakemake

from mtpd.checks import times


def make(path, seconds_from_now):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    when = time.time() + seconds_from_now
    os.utime(path, (when, when))
    return str(path)


def test_late_files_are_named_with_the_command_that_corrects_them(tmp_path):
    late = [make(tmp_path / name, 3600) for name in ("b.json", "my a.json")]
    paths = [*late, late[0], make(tmp_path / "c", 0), make(tmp_path / "d", -3600), str(tmp_path / "missing")]
    (line,) = times.problems(paths, tmp_path / "checks")
    assert "has a time in the future" in line
    assert line.endswith(f"or call: touch {late[0]} '{late[1]}'")
    for path in late:
        os.utime(path)
    assert times.problems(paths, tmp_path / "checks") == []


def test_the_time_is_that_of_the_file_system(tmp_path, monkeypatch):
    """Whose clock can be minutes ahead; what it has just written is not late."""
    path = make(tmp_path / "a", 0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert times.problems([path], tmp_path) == []


def test_a_run_does_not_start_with_a_late_config_or_result(tmp_path):
    """The config is named by the experiment; the checkpoint is only read by jobs of the run."""
    shutil.copytree(PROJECT / "config/detectors", tmp_path / "config/detectors")
    config = make(tmp_path / "config/detectors/r18_w8.py", 3600)
    weights = make(tmp_path / "results/few-shapes/detectors/swin/weights.pth", 3600)
    code, said = snakemake(tmp_path, "--", "all")
    assert code == 1 and "Nothing was run" in said
    found = [os.path.relpath(path, tmp_path) for path in (config, weights)]
    assert f"touch {' '.join(found)}" in said
    assert not list(tmp_path.glob("logs/**/*.log"))
