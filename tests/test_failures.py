"""Failures that are final do not start again by themselves; those that may pass do."""

import os
import re
from pathlib import Path

import pytest
from conftest import progressive_stage
from snakes import TINY, changed, checked, snakemake

from mtpd.job import failures
from mtpd.job.errors import DivergedError
from mtpd.training.history import History
from mtpd.training.stage import train

WILD = {"type": "SGD", "lr": 1e38}


def test_a_stage_that_has_diverged_starts_again_only_if_told(dataset, teacher, tmp_path):
    stage = progressive_stage(dataset, teacher, optimizer=WILD, epochs=1)
    said = []
    for _ in range(3):
        with pytest.raises(DivergedError) as error:
            train(stage, tmp_path / "out", tmp_path / "work")
        said.append(str(error.value))
        assert (tmp_path / "work" / failures.FINAL).read_text() == f"DivergedError: {said[-1]}\n"
        if len(said) == 2:
            Path(re.search(r"delete (\S+) to try again", said[1])[1]).unlink()
    first, refused, again = said
    assert re.search(r"loss\S* is (nan|inf) at iteration 2", first)
    assert refused.startswith(f"{first}. This happened before")
    assert again == first


def test_a_weight_that_is_not_finite_ends_the_stage_and_is_not_saved(dataset, teacher, tmp_path, monkeypatch):
    """No loss shows it: it comes with the last step of an epoch."""
    after_iteration = History.after_train_iter

    def spoilt(self, runner, *args, **kwargs):
        after_iteration(self, runner, *args, **kwargs)
        if runner.iter == 2:
            next(runner.model.student.parameters()).data[0] = float("inf")

    monkeypatch.setattr(History, "after_train_iter", spoilt)
    stage = progressive_stage(dataset, teacher, epochs=1)
    with pytest.raises(DivergedError, match=r"^student\.\S+ is not finite after iteration 3"):
        train(stage, tmp_path / "out", tmp_path / "work")
    assert not list((tmp_path / "work").glob("*/iter_*.pth"))
    assert not (tmp_path / "out").exists()


def test_another_learning_rate_is_another_stage(dataset, teacher, tmp_path):
    stage = progressive_stage(dataset, teacher, optimizer=WILD, epochs=1)
    with pytest.raises(DivergedError):
        train(stage, tmp_path / "out", tmp_path / "work")
    train(progressive_stage(dataset, teacher, epochs=1), tmp_path / "out", tmp_path / "work")
    assert not (tmp_path / "work" / failures.FINAL).exists()


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (ValueError("a bad file"), True),
        (KeyError("a bad file"), True),
        (OSError("disk full"), False),
        (RuntimeError("CUDA error"), False),
        (MemoryError(), False),
        (ImportError("libcudart.so.12: cannot open shared object file"), False),
        (Exception("(-4:Insufficient memory) Failed to allocate 9999 bytes"), False),  # of OpenCV
        (KeyboardInterrupt(), False),
        (type("MlflowException", (Exception,), {"__module__": "mlflow.exceptions"})(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_of_the_machine_are_not_final(error, final, tmp_path):
    with pytest.raises(type(error)), failures.final_written(tmp_path):
        raise error
    assert (tmp_path / failures.FINAL).exists() == final


def starts(said):
    """How often Snakemake has started a stage."""
    return len(re.findall(r"^\S+ start: stage ", said, re.MULTILINE))


@pytest.mark.slow
def test_snakemake_starts_a_stage_again_unless_its_failure_is_final(tmp_path, monkeypatch):
    """One stage diverges, and one cannot read an image; then, jobs end at their time limit."""

    def spoil(experiment):
        experiment["recipes"]["wild"] = {**experiment["recipes"]["alone"], "optimizer": WILD}
        experiment["arms"]["wild"] = {"recipe": "wild", "chain": "none@1"}

    config = changed(tmp_path, "spoilt", spoil)
    data = "results/few-shapes/data/val.json"
    assert snakemake(tmp_path, "--", data, config=config)[0] == 0
    image = next((tmp_path / data).with_suffix("").glob("*.png"))
    whole = image.read_bytes()
    image.write_bytes(b"no image")
    stages = {recipe: f"few-shapes/students/student/{recipe}/none@1/seed0" for recipe in ("wild", "alone")}
    targets = [f"results/{stage}/student.pth" for stage in stages.values()]

    code, said = snakemake(tmp_path, "--retries", "5", "--keep-going", "--", *targets, config=config)
    assert code != 0
    assert starts(said) == 2
    assert re.search(rf"{targets[0]}: DivergedError: loss\S* is (nan|inf) at iteration 2", said)
    assert re.search(rf"{targets[1]}: \w+: .*\n+This failure is final", said)

    image.write_bytes(whole)
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1")
    code, said = snakemake(tmp_path, "--retries", "2", "--keep-going", "--", *targets, config=config)
    assert code != 0
    assert starts(said) == 1 + 3
    assert "This happened before" in said
    assert said.count("resuming after epoch 1 of 1") == 3


@pytest.fixture
def dying(tmp_path, monkeypatch):
    """Does something to a script as soon as Python starts it; gives the file that counts its starts."""

    def dying(script, how):
        count = tmp_path / "count"
        (tmp_path / "sitecustomize.py").write_text(
            f"import os, sys\nif any(part.endswith('/{script}') for part in sys.orig_argv):\n"
            f"    open({str(count)!r}, 'a').write('.')\n    {how}\n"
        )
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
        return count

    return dying


def test_a_job_that_is_no_stage_starts_three_times(dying, tmp_path):
    count = dying("shapes.py", "os._exit(1)")
    config = checked(tmp_path, TINY)
    code, said = snakemake(
        tmp_path, "--retries", "5", "--", "results/few-shapes/data/val.json", config=config
    )
    assert code != 0
    assert count.read_text() == "..."
    assert "it has failed 3 times" in said


def test_a_stage_starts_three_times_whatever_happened_in_an_earlier_run(dying, tmp_path):
    """It cannot import torch. Both files are of yesterday."""
    folder = "few-shapes/students/student/alone/none@1/seed0"
    work = tmp_path / "work" / folder
    work.mkdir(parents=True)
    (work / failures.FINAL).write_text("ValueError: of yesterday")
    (work / failures.ERRORS).write_text('{"nodes": ["node7", "node7"], "saved": []}')
    count = dying("stage.py", "sys.modules['torch'] = None")
    config = checked(tmp_path, TINY)
    code, said = snakemake(tmp_path, "--retries", "5", "--", f"results/{folder}/student.pth", config=config)
    assert code != 0
    assert count.read_text() == "..."
    assert re.search(
        r"student\.pth: ModuleNotFoundError: .*torch.*\nThe stage has ended in errors 3 times", said
    )
