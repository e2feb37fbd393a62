"""A stage's fingerprint: whatever can change its result changes it, found by looking at every field."""

import copy
import dataclasses

import pytest
from conftest import PROJECT, progressive_stage, spec

from mtpd import files
from mtpd.training.stage import Stage

NO_INFLUENCE = {"workers", "trackers"}
# Values that must stay valid: another config, and files with other content.
OTHER_CONFIG = str(PROJECT / "config/detectors/r18_w16.py")
OTHER_FILE = str(PROJECT / "LICENSE")


@pytest.fixture(scope="module")
def full(dataset, teacher):
    """A stage in which every field is set."""
    source = {"inherits": spec("swin_w32"), "inherited_weights": teacher}
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
        assert same == (path[0] in NO_INFLUENCE), path


def test_the_same_settings_have_the_same_fingerprint(dataset, teacher):
    assert (
        progressive_stage(dataset, teacher).fingerprint() == progressive_stage(dataset, teacher).fingerprint()
    )


def test_the_code_that_trains_counts(dataset, teacher, monkeypatch):
    before, hashed = progressive_stage(dataset, teacher).fingerprint(), []
    monkeypatch.setattr(files, "code_hash", lambda folders: ",".join(folder.name for folder in folders))
    after = progressive_stage(dataset, teacher).fingerprint()
    assert before != after
    monkeypatch.setattr(files, "code_hash", hashed.extend)
    progressive_stage(dataset, teacher).fingerprint()
    assert {folder.name for folder in hashed} == {"data", "detectors", "distill", "training"}
    assert all(list(folder.glob("*.py")) for folder in hashed)
    monkeypatch.setattr(files, "code_hash", lambda folders: "other")
    assert progressive_stage(dataset, teacher).fingerprint() not in (before, after)
