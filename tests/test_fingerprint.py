"""A stage's fingerprint: whatever can change its result changes it, found by looking at every field."""

import copy
import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT, progressive_stage, spec

from mtpd import files
from mtpd.training.settings import Stage

NO_INFLUENCE = {("workers",), ("trackers",), ("made_with",)}
# Scored with, or where files lie.
NO_INFLUENCE |= {("dataset", "name"), ("dataset", "train", "images"), ("recipe", "validate_every")}
NO_INFLUENCE |= {("dataset", "val", "annotations"), ("dataset", "val", "images"), ("dataset", "evaluator")}
# Values that must stay valid: another config, and files with other content.
OTHER_CONFIG = str(PROJECT / "config/detectors/r18_w16.py")
OTHER_FILE = str(PROJECT / "LICENSE")


@pytest.fixture(scope="module")
def full(dataset, teacher):
    """A stage in which every field is set."""
    source = {"inherits": spec("swin_w32"), "inherited_weights": teacher}
    source |= {"initial": {"class_rows": True}, "initial_weights": teacher}
    source["backbones"] = {"torchvision://resnet18": teacher}
    stage = progressive_stage(dataset, teacher, parent=teacher, **source)
    for field in dataclasses.fields(stage):
        assert getattr(stage, field.name) is not None, field.name
    return stage


def leaves(value, path=()):
    """Every plain value inside a field, with the keys that lead to it."""
    if isinstance(value, dict) and value:
        for key in value:
            yield from leaves(value[key], (*path, key))
    elif isinstance(value, (list, tuple)) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def other(path, value):
    """A different value of the same kind."""
    if path[-1] == "config":
        return OTHER_CONFIG
    if path[-1] == "overrides":
        return {"model.test_cfg.max_per_img": 7}
    if path[-1] == "taps":
        return ["neck.fpn_convs.0.conv"]
    if path[-1] == "annotations" or "weights" in str(path[0]) or path[0] in ("parent", "backbones"):
        return OTHER_FILE
    return value + 1 if isinstance(value, (int, float)) else f"{value}-other"


def changed(stage, path, value):
    """The stage with one value inside one field replaced."""
    content = {f.name: copy.deepcopy(getattr(stage, f.name)) for f in dataclasses.fields(stage)}
    content = {key: list(found) if isinstance(found, tuple) else found for key, found in content.items()}
    node = content
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return Stage(**content)


def test_every_value_of_every_field_counts(full):
    fields = [field.name for field in dataclasses.fields(full)]
    found = [leaf for name in fields for leaf in leaves(getattr(full, name), (name,))]
    assert len(found) > 30
    original = changed(full, ("seed",), full.seed).fingerprint()
    for path, value in found:
        same = changed(full, path, other(path, value)).fingerprint() == original
        assert same == (path in NO_INFLUENCE), path


def test_the_same_settings_have_the_same_fingerprint(dataset, teacher):
    assert (
        progressive_stage(dataset, teacher).fingerprint() == progressive_stage(dataset, teacher).fingerprint()
    )


def test_where_files_lie_does_not_count(dataset, teacher, tmp_path):
    """Data, configs and checkpoints on another disk."""
    for split in ("train", "val"):
        shutil.copy(dataset[split]["annotations"], tmp_path)
    shutil.copy(teacher, tmp_path / "other.pth")
    shutil.copytree(PROJECT / "config/detectors", tmp_path / "detectors")
    moved = dict(dataset)
    for split in ("train", "val"):
        moved[split] = {"annotations": str(tmp_path / f"{split}.json"), "images": str(tmp_path / split)}
    here = progressive_stage(dataset, teacher)
    there = progressive_stage(moved, str(tmp_path / "other.pth"))
    student = {**here.student, "config": str(tmp_path / "detectors/r18_w8.py")}
    there = dataclasses.replace(there, student=student, inherited_weights=str(tmp_path / "other.pth"))
    here = dataclasses.replace(here, initial={"class_rows": True}, initial_weights=teacher)
    there = dataclasses.replace(there, initial=here.initial, initial_weights=there.inherited_weights)
    assert there.fingerprint() == here.fingerprint()


def test_a_local_file_of_pretrained_weights_counts_by_its_content(dataset, teacher, tmp_path):
    found = []
    for name, content in (("a.pth", "one"), ("b.pth", "one"), ("c.pth", "two")):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        pretrained = {"type": "Pretrained", "checkpoint": str(path), "_delete_": True}
        student = {**spec("r18_w8"), "overrides": {"model.backbone.init_cfg": pretrained}}
        stage = progressive_stage(dataset, teacher, student=student, backbones={str(path): str(path)})
        found.append(stage.fingerprint())
    assert found[0] == found[1] != found[2]


def test_imported_data_count_by_their_content(full, tmp_path):
    """Not by the bytes of their file, which may be written anew."""

    def fingerprint(content, path):
        train = {**full.dataset["train"], "content": content, "annotations": path}
        return changed(full, ("dataset", "train"), train).fingerprint()

    path = full.dataset["train"]["annotations"]
    other = tmp_path / "other.json"
    other.write_text(Path(path).read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert fingerprint("one", path) != fingerprint("another", path)
    assert fingerprint("one", path) == fingerprint("one", str(other))


def test_an_edit_of_the_code_starts_no_half_trained_stage_over(dataset, teacher, tmp_path):
    """A line more in every file of every package; what trains otherwise has another results version."""
    library = tmp_path / "src/mtpd"
    shutil.copytree(PROJECT / "src/mtpd", library)
    packages = [path for path in library.iterdir() if path.is_dir() and (path / "__init__.py").exists()]
    assert {"datasets", "job", "plan", "training"} <= {path.name for path in packages}
    for package in packages:
        for path in package.glob("*.py"):
            path.write_text(path.read_text(encoding="utf-8") + "\nEDITED = True\n", encoding="utf-8")
    stage = progressive_stage(dataset, teacher)
    files.write_json(tmp_path / "stage.json", dataclasses.asdict(stage))
    code = (
        "import sys, mtpd.job.lock; from mtpd import files; from mtpd.training.settings import Stage;"
        "assert mtpd.job.lock.EDITED; print(Stage(**files.read_json(sys.argv[1])).fingerprint())"
    )
    command = [sys.executable, "-c", code, tmp_path / "stage.json"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.split()[-1] == stage.fingerprint()
