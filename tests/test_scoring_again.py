"""A finished stage whose training has not changed is only scored again, whatever made its job run again."""

import dataclasses
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import progressive_stage

from mtpd import RESULTS_VERSION, files
from mtpd.detectors import checkpoints
from mtpd.evaluation import metrics
from mtpd.job.errors import OtherVersionError, StoppedEarly
from mtpd.training import results, versions
from mtpd.training.history import History
from mtpd.training.stage import train

BENCHMARK = "s\th:m:s\tmax_rss\n120.5\t0:02:00\t900\n"


def run(stage, folder):
    train(stage, folder / "out", folder / "work", str(folder / "progress"), "stage")


@pytest.fixture(scope="module")
def trained(dataset, teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    run(progressive_stage(dataset, teacher), folder)
    (folder / "out/benchmark.tsv").write_text(BENCHMARK, encoding="utf-8")
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    """Its results alone: without the state, nothing could resume."""
    shutil.copytree(trained / "out", tmp_path / "out")
    return tmp_path


def with_other_objects(dataset, folder):
    """The data set; the validation annotations lack the first object, in a file of another place."""
    content = json.loads(Path(dataset["val"]["annotations"]).read_text(encoding="utf-8"))
    del content["annotations"][0]
    files.write_json(folder / "corrected.json", content)
    return {**dataset, "val": {**dataset["val"], "annotations": str(folder / "corrected.json")}}


def test_corrected_validation_annotations_train_nothing(dataset, teacher, trained, folder, monkeypatch):
    monkeypatch.setattr(History, "before_train", lambda *_: pytest.fail("it trains"))
    corrected = with_other_objects(dataset, folder)
    run(progressive_stage(corrected, teacher, validate_every=3), folder)
    student = (folder / "out/student.pth").read_bytes()
    assert student == (trained / "out/student.pth").read_bytes()
    found = json.loads((folder / "out/metrics.json").read_text(encoding="utf-8"))
    predictions = json.loads((folder / "out/predictions.json").read_text(encoding="utf-8"))
    assert found["bbox"] == metrics.score(corrected["val"]["annotations"], predictions, "bbox")
    assert found["annotations_sha256"] == files.sha256(corrected["val"]["annotations"])


def test_the_curve_keeps_no_ap_of_other_annotations(dataset, teacher, trained, folder):
    before = pd.read_csv(trained / "out/history.csv")
    assert before["AP"].notna().tolist() == [False, True, True]
    run(progressive_stage(with_other_objects(dataset, folder), teacher), folder)
    after = pd.read_csv(folder / "out/history.csv")
    assert after["AP"].notna().tolist() == [False, False, True]
    losses = [name for name in before if name not in ("AP", "annotations")]
    pd.testing.assert_frame_equal(after[losses], before[losses])


def test_scored_again_with_the_same_annotations_all_results_are_the_same(dataset, teacher, trained, folder):
    (folder / "out/metrics.json").unlink()
    (folder / "out/predictions.json").unlink()
    run(progressive_stage(dataset, teacher), folder)
    for name in ("metrics.json", "predictions.json", "history.csv", "inherited.json", "student.pth"):
        assert (folder / "out" / name).read_bytes() == (trained / "out" / name).read_bytes(), name
    jobs = json.loads((folder / "out/jobs.json").read_text(encoding="utf-8"))
    assert jobs == {"earlier_jobs": 1, "seconds_of_earlier_jobs": 120.5}


@pytest.mark.parametrize("change", ["seed", "missing", "teacher", "annotations", "parent"])
def test_what_does_not_fit_is_trained(change, dataset, teacher, trained, folder):
    stage = progressive_stage(dataset, teacher)
    assert results.is_trained(stage, trained / "out")
    if change == "seed":
        stage = dataclasses.replace(stage, seed=1)
    elif change == "missing":
        (folder / "out/inherited.json").unlink()
    elif change == "teacher":
        content = torch.load(teacher, weights_only=True)
        next(iter(content["state_dict"].values())).add_(1)
        torch.save(content, folder / "other.pth")
        stage = dataclasses.replace(stage, teacher_weights=(str(folder / "other.pth"),))
    elif change == "annotations":
        training = {**dataset, "train": dataset["val"]}
        stage = dataclasses.replace(stage, dataset=training)
    else:
        stage = dataclasses.replace(stage, parent=str(trained / "out/student.pth"))
    assert not results.is_trained(stage, folder / "out")


def test_the_same_training_elsewhere_gives_the_same_file(dataset, teacher, trained, tmp_path):
    """So a student that was deleted and made again trains none of the stages that start from it."""
    moved = {**dataset, "name": "others", "evaluator": "faster-coco-eval"}
    for split in ("train", "val"):
        place = tmp_path / "data" / split
        shutil.copytree(dataset[split]["images"], place)
        shutil.copy(dataset[split]["annotations"], place.parent)
        name = Path(dataset[split]["annotations"]).name
        moved[split] = {"annotations": str(place.parent / name), "images": str(place)}
    settings = {"dataset": {"name": "others", "val": {"content": "other"}}, "recipe": {"validate_every": 9}}
    run(progressive_stage(moved, teacher, workers=1, made_with=settings), tmp_path)
    first, second = (checkpoints.read_checkpoint(f / "out/student.pth")["meta"] for f in (trained, tmp_path))
    assert second["mtpd"].pop("trained_with") == {"dataset": {}, "recipe": {}}
    assert first["mtpd"].pop("trained_with") == {}
    assert first == second
    assert str(tmp_path) not in second["cfg"]


def test_a_damaged_student_counts_as_none(dataset, teacher, folder):
    (folder / "out/student.pth").write_bytes(b"PK half")
    assert not results.is_trained(progressive_stage(dataset, teacher), folder / "out")


def stop(self, runner):
    raise StoppedEarly("a test")


@pytest.fixture
def half_trained(dataset, teacher, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(History, "after_val_epoch", lambda self, runner, metrics=None: stop(self, runner))
        with pytest.raises(StoppedEarly):
            run(progressive_stage(dataset, teacher), tmp_path)
    return tmp_path


def state(folder):
    (found,) = (path for path in (folder / "work").iterdir() if path.is_dir())
    return found


def test_a_half_trained_stage_of_another_results_version_stops(half_trained, dataset, teacher):
    path = state(half_trained) / versions.FILE
    assert path.read_text(encoding="utf-8") == f"{RESULTS_VERSION}\n"
    path.write_text(f"{RESULTS_VERSION - 1}\n", encoding="utf-8")
    with pytest.raises(OtherVersionError, match=r"To start over, delete.*To go on all the same"):
        run(progressive_stage(dataset, teacher), half_trained)
    path.unlink()  # as the message says
    run(progressive_stage(dataset, teacher), half_trained)
    assert "resuming after epoch" in (half_trained / "progress").read_text(encoding="utf-8")


def test_code_of_the_same_results_version_goes_on(half_trained, dataset, teacher):
    run(progressive_stage(dataset, teacher), half_trained)
    assert "resuming after epoch 2" in (half_trained / "progress").read_text(encoding="utf-8")
