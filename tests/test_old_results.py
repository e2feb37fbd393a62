"""Results that do not fit their experiment are made again; those that fit are not trained again."""

import os
import shutil

import one_stage
import pytest
from conftest import PROJECT
from one_stage import write
from snakes import checked, planned, snakemake

from mtpd import files

STAGE = "results/cells/students/student/alone/none@1/seed0"
TRAINED = {"train_stage": 1, "take_trained": 1}
REPORT = {"write_tables": 1, "plot_stages": 1}
SPLITS = ("train", "val")


def experiment(data, **recipe):
    """One stage, on the data in a folder."""
    splits = {name: {"annotations": f"{data}/{name}.json", "images": f"{data}/{name}"} for name in SPLITS}
    return one_stage.experiment(splits, **recipe)


@pytest.fixture(scope="module")
def finished_on_files(dataset, tmp_path_factory):
    """A finished experiment on data on disk."""
    folder = tmp_path_factory.mktemp("old-results")
    for split in SPLITS:
        shutil.copytree(dataset[split]["images"], folder / "data" / split)
        shutil.copy(dataset[split]["annotations"], folder / "data")
    (folder / "config").symlink_to(PROJECT / "config")
    code, said = snakemake(folder, config=checked(folder, write(folder, experiment(folder / "data"))))
    assert code == 0, said
    return folder


@pytest.fixture
def folder(finished_on_files, tmp_path):
    """A copy of it, data too, with all times, at another place."""
    shutil.copytree(finished_on_files, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def forget(folder):
    """Without what Snakemake remembers, and without what stages resume from."""
    for name in (".snakemake", "work"):
        shutil.rmtree(folder / name)


def without_an_object(folder):
    """Replace the validation annotations by a file with an older time, as ``rsync -a`` does."""
    path = folder / "data/val.json"
    content = files.read_json(path)
    del content["annotations"][0]
    files.write_json(path, content)
    os.utime(path, (1e9, 1e9))


def test_a_copy_with_the_same_settings_has_nothing_to_do(folder, finished_on_files):
    assert planned(folder, write(folder, experiment(finished_on_files / "data"))) == {}
    forget(folder)
    assert planned(folder, write(folder, experiment(finished_on_files / "data"))) == {}


def test_results_of_other_settings_are_made_again_though_snakemake_knows_nothing(folder, finished_on_files):
    forget(folder)
    faster = write(folder, experiment(finished_on_files / "data", optimizer={"type": "AdamW", "lr": 5e-2}))
    code, said = snakemake(folder, "-n", config=faster)
    assert code == 0, said
    assert "to be made again: recipe.optimizer.lr: found 0.001, expected 0.05" in said
    code, said = snakemake(folder, config=checked(folder, faster))
    assert code == 0, said
    assert "epoch 1/1" in said
    rows = files.read_json(folder / "results/one/rows.json")
    assert files.fingerprint(files.read_json(folder / STAGE / "metrics.json")["made_with"]) in str(rows)
    assert planned(folder, faster) == {}


@pytest.mark.parametrize("how", ["killed", "damaged"])
def test_a_stage_whose_scores_are_gone_runs_before_others_start_from_it(how, folder, finished_on_files):
    """As after a kill: Snakemake has put the earlier student back, and no scores are beside it."""
    forget(folder)
    if how == "killed":
        (folder / STAGE / "metrics.json").unlink()
    else:
        (folder / STAGE / "metrics.json").write_text("", encoding="utf-8")
    config = write(folder, experiment(finished_on_files / "data"))
    code, said = snakemake(folder, "-n", "--", f"{STAGE}/student.pth", config=config)
    assert code == 0, said
    assert "train_stage" in said and ("missing beside" in said or "cannot be read" in said)


def test_a_teachers_file_that_was_replaced_is_taken_again(folder, finished_on_files):
    """Also by one with an older time."""
    path = "results/cells/detectors/student/weights.pth"
    forget(folder)
    (folder / path).write_bytes(b"of another training")
    os.utime(folder / path, (2e9, 2e9))
    code, said = snakemake(folder, "-n", config=write(folder, experiment(finished_on_files / "data")))
    assert code == 0 and f"{path}: to be made again: differs from" in said, said


def test_a_table_alone_refuses_results_of_other_settings(folder, finished_on_files):
    forget(folder)
    faster = experiment(finished_on_files / "data", optimizer={"type": "AdamW", "lr": 5e-2})
    only = ("--allowed-rules", "list_rows", "write_tables", "--forcerun", "list_rows", "--")
    table = "results/one/tables/main.csv"
    code, said = snakemake(folder, *only, table, config=checked(folder, write(folder, faster)))
    log = (folder / "logs/one/tables/tables.log").read_text(encoding="utf-8")
    assert code != 0, said
    assert f"made with other settings than this experiment's: {STAGE}" in log


def test_a_replaced_validation_file_is_scored_and_nothing_trains(folder):
    student = (folder / STAGE / "student.pth").read_bytes()
    config = write(folder, experiment(folder / "data"))
    without_an_object(folder)
    code, said = snakemake(folder, config=checked(folder, config))
    assert code == 0, said
    assert "trained already: only its scores are made again" in said
    assert (folder / STAGE / "student.pth").read_bytes() == student
    metrics = files.read_json(folder / STAGE / "metrics.json")
    assert metrics["annotations_sha256"] == files.sha256(folder / "results/cells/data/val.json")
    assert planned(folder, config) == {}


def test_data_on_another_disk_train_nothing(folder):
    forget(folder)
    assert planned(folder, write(folder, experiment(folder / "data"))) == {}


@pytest.mark.slow  # the test above has the same after another change
def test_a_stage_that_has_to_run_for_data_on_another_disk_is_only_scored(folder):
    forget(folder)
    config = write(folder, experiment(folder / "data"))
    code, said = snakemake(folder, "--forcerun", "train_stage", config=checked(folder, config))
    assert code == 0, said
    assert "trained already" in said and "epoch 1/1" not in said
