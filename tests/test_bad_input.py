"""Bad input, with real Snakemake: it stops before any job, says where and what, and keeps earlier results.

What it says of each bad file comes from functions that need torch; most files are given to these directly.
"""

import json
import shutil
import subprocess

import pytest
import yaml
from bad_files import DATA, annotation, image, setting, with_annotations
from bad_keys import GONE, KEYS
from conftest import PROJECT, build
from snakes import command, found_wrong, snakemake

from mtpd.datasets import shapes
from mtpd.detectors import checkpoints, configs
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.reading import load_with_files

EXPERIMENT = {
    "experiment": "own",
    "dataset": {
        "name": "mine",
        "train": {"annotations": "data/train.json", "images": "data/train"},
        "val": {"annotations": "data/val.json", "images": "data/val"},
        "scale": [64, 64],
    },
    "detectors": {
        "student": {"config": "config/detectors/r18_w8.py", "train": {"recipe": "alone", "epochs": 1}},
        "swin": {"config": "config/detectors/swin_w32.py", "file": "swin.pth"},
    },
    "students": ["student"],
    "pools": {"all": ["swin"]},
    "recipes": {
        "alone": {"optimizer": {"type": "AdamW", "lr": 1e-3}},
        "pkd": {"optimizer": {"type": "AdamW", "lr": 1e-3}, "loss": {"name": "pkd"}},
    },
    "arms": {"direct": {"recipe": "pkd", "policy": "bgs", "pool": "all", "epochs": 1}},
}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Good input: data, a teacher's checkpoint, and a result that must stay."""
    folder = tmp_path_factory.mktemp("template")
    for split, images in (("train", 4), ("val", 2)):
        (folder / "data" / split).mkdir(parents=True)
        coco = shapes.generate(folder / "data" / split, split, images, 64, 0)
        shapes.write(coco, folder / f"data/{split}.json")
    config = configs.load_config(str(PROJECT / "config/detectors/swin_w32.py"), {}, shapes.CLASSES)
    checkpoints.save_student(folder / "swin.pth", build("swin_w32"), config, shapes.CLASSES, {})
    (folder / "config").symlink_to(PROJECT / "config")
    result = folder / "results/own/tables/main.csv"
    result.parent.mkdir(parents=True)
    result.write_text("an earlier result")
    return folder


@pytest.fixture
def folder(template, tmp_path):
    return shutil.copytree(template, tmp_path / "own", symlinks=True)


@pytest.fixture
def experiment():
    return json.loads(json.dumps(EXPERIMENT))


def refused(folder, experiment):
    """What Snakemake says of it, having run nothing."""
    (folder / "own.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
    code, said = snakemake(folder, config=folder / "own.yaml")
    assert code != 0, said
    assert "Traceback" not in said
    assert not list(folder.glob("logs/**/*.log")), said
    assert not (folder / "work/mine").exists()
    assert (folder / "results/own/tables/main.csv").read_text() == "an earlier result"
    assert [path.name for path in (folder / "results").iterdir()] == ["own"]
    return said


def test_the_checks_can_run_alone(folder, experiment):
    """Good input passes and nothing is trained; what may be a mistake is told."""
    (folder / "own.yaml").write_text(yaml.safe_dump(experiment))
    code, said = snakemake(folder, "--", "checked", config=folder / "own.yaml")
    assert code == 0, said
    assert "train: 3 of 4 images, 9 of 9 objects are trained with, without 1 images without objects" in said
    assert "val: 2 of 2 images, 6 of 6 objects are scored with" in said
    assert (
        "recipes.pkd.schedule.warmup_iters: found 500, but the shortest stage may have only 1 iterations"
        in said
    )
    assert [path.name for path in (folder / "results").iterdir()] == ["own"]
    (folder / "data/val.json").write_text("{")
    code, said = snakemake(folder, "--", "checked", config=folder / "own.yaml")
    assert code != 0 and "data/val.json: is not a JSON file" in said


def test_two_experiments_are_checked_in_one_folder_at_the_same_time(folder, experiment):
    """Each gets its own answer."""
    (folder / "good.yaml").write_text(yaml.safe_dump(experiment))
    experiment["recipes"]["pkd"]["optimizer"]["type"] = "Adamm"
    (folder / "bad.yaml").write_text(yaml.safe_dump(experiment))
    said = {}
    for name in ("bad", "good"):
        arguments = command(folder, "--nolock", "--", "checked", config=folder / f"{name}.yaml")
        said[name] = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    bad, good = (said[name].communicate()[0] for name in ("bad", "good"))
    assert said["bad"].returncode != 0 and "found 'Adamm'" in bad
    assert said["good"].returncode == 0 and "Adamm" not in good, good


def test_the_good_input_is_planned(folder, experiment):
    (folder / "own.yaml").write_text(yaml.safe_dump(experiment))
    code, said = snakemake(folder, "-n", config=folder / "own.yaml")
    assert code == 0, said


def with_wrong_key(experiment, key, value):
    """The experiment with one key changed, or deleted."""
    *parents, last = key.split(".")
    node = experiment
    for name in parents:
        node = node.setdefault(name, {})
    if value is GONE:
        del node[last]
    else:
        node[last] = value
    return experiment


@pytest.mark.parametrize(
    ("key", "value", "words"), KEYS, ids=[f"{key}={str(value)[:20]}" for key, value, _ in KEYS]
)
def test_a_wrong_key_is_named(key, value, words, folder, experiment, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError) as error:
        load_with_files(with_wrong_key(experiment, key, value), "own.yaml", PROJECT)
    assert f"own.yaml: {words}" in str(error.value)


@pytest.mark.parametrize(("key", "value", "words"), KEYS[::12], ids=[key for key, _, _ in KEYS[::12]])
def test_a_wrong_key_stops_snakemake(key, value, words, folder, experiment):
    said = refused(folder, with_wrong_key(experiment, key, value))
    assert f"own.yaml: {words}" in said, said


@pytest.mark.parametrize(
    ("key", "path"), [("dataset.train.annotations", "data/none.json"), ("dataset.val.images", "data/none")]
)
def test_missing_data_stop_snakemake(key, path, folder, experiment):
    said = refused(folder, with_wrong_key(experiment, key, path))
    assert f"{key}: no such file or folder: {path}" in said, said


def test_more_stages_than_epochs_are_refused(folder, experiment):
    experiment["detectors"]["other"] = experiment["detectors"]["swin"]
    experiment["pools"]["all"] = ["swin", "other"]
    assert "arms.direct.epochs: found 1; expected one for each of up to 2 stages" in refused(
        folder, experiment
    )


def test_a_config_that_is_no_python_is_refused(folder, experiment):
    (folder / "mine.py").write_text("model = dict(")
    experiment["detectors"]["student"]["config"] = "mine.py"
    assert "mine.py: cannot be read as an mmdet config" in refused(folder, experiment)


def test_a_file_that_is_no_yaml_is_refused(folder):
    (folder / "own.yaml").write_text("experiment: [")
    code, said = snakemake(folder, config=folder / "own.yaml")
    assert code != 0
    assert "Config file is not valid JSON or YAML" in said  # Snakemake's own words


@pytest.mark.parametrize("case", DATA)
def test_bad_files_and_settings_are_found(case, folder, experiment):
    spoil, words = DATA[case]
    spoil(folder, experiment)
    found = found_wrong(folder, experiment)
    assert any(words in line for line in found), found


@pytest.mark.parametrize("case", ["not-json", "too-few-objects", "checkpoint-of-another"])
def test_bad_files_stop_snakemake_before_the_first_job(case, folder, experiment):
    """One that the import finds, and two that the checks find."""
    spoil, words = DATA[case]
    spoil(folder, experiment)
    said = refused(folder, experiment)
    assert "Nothing was run" in said
    assert words in said, said


def test_what_cannot_be_used_is_left_out_where_the_experiment_says_so(folder, experiment):
    annotation(bbox=[5, 5, 0, 3])(folder, experiment)
    setting("dataset.allowed_share", 0.2)(folder, experiment)
    setting("detectors.swin.overrides", {"model.backbone.dpth": 18})(
        folder, experiment
    )  # something must stop it
    said = refused(folder, experiment)
    assert "import: train: left out: objects: boxes without area: 1 (object 1: [5, 5, 0, 3])" in said
    assert "detectors.swin" in said


def test_too_little_disk_space_is_reported(folder, experiment):
    experiment["detectors"]["student"]["config"] = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
    experiment["recipes"]["pkd"]["inherit"] = "none"
    assert not found_wrong(folder, experiment)  # Snakemake finds what has passed, and does not check it again
    experiment["seeds"] = list(range(5_000))
    assert "free: make room" in refused(folder, experiment)


def test_all_problems_of_the_data_are_reported_at_once(folder, experiment):
    for split in ("train", "val"):
        with_annotations(split, lambda c: c["annotations"][-1].update(bbox=[0, 0, 0, 0]))(folder, experiment)
    image(lambda path: path.unlink())(folder, experiment)
    said = refused(folder, experiment)
    assert said.count("boxes without area") == 2
    assert "images: missing" in said
