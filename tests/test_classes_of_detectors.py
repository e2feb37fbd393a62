"""Classes that only the detector, only the data, or only the validation split has are told."""

import pytest
import torch
from conftest import build, spec

from mtpd.checks.problems import Checks
from mtpd.datasets import shapes
from mtpd.detectors.class_names import differences
from mtpd.evaluation import evaluate

OTHER = ("Disc", "square ", *shapes.CLASSES[2:-1], "wheel")
SAID = (
    "only classes of equal names are the same: the data do not have 'Disc' (but 'disc'), 'square ' (but "
    "'square'), 'wheel'; the detector does not have 'disc' (but 'Disc'), 'square' (but 'square '), 'ring'"
)


def test_only_one_side_may_have_more():
    assert differences(("b", "a"), ("a", "b")) == ""
    assert differences(("a", "b"), ("a",)) == "the data do not have 'b'"
    assert differences(("a",), ("a", "b")) == "the detector does not have 'b'"


@pytest.mark.parametrize("name", ["traffic_light", "Traffic Light", "trafficlight", " traffic  light"])
def test_the_same_name_in_another_spelling_is_named_first(name):
    assert differences((*"abc", name), ("traffic light",)) == (
        f"the data do not have {name!r} (but 'traffic light'), 'a', 'b', 'c'; "
        f"the detector does not have 'traffic light' (but {name!r})"
    )


def test_many_names_are_counted():
    names = [f"class {number}" for number in range(80)]
    assert differences(names, names[:1]).endswith("'class 10' and 69 more")


@pytest.fixture
def weights(tmp_path):
    """A teacher's checkpoint with names that are partly those of the data."""
    content = {"state_dict": build("swin_w32").state_dict(), "meta": {"dataset_meta": {"classes": OTHER}}}
    torch.save(content, tmp_path / "swin.pth")
    return str(tmp_path / "swin.pth")


def checks(dataset, said, **detectors):
    return Checks(
        {"dataset": {**dataset, "generated": False}, "detectors": detectors, "recipes": {}}, said.append
    )


def test_a_teacher_with_other_names_is_told_before_the_first_job(weights, dataset):
    said = []
    file = {**spec("swin_w32"), "file": weights, "sha256": None, "trained": False}
    assert checks(dataset, said, swin=file).detector("swin")
    assert said == [f"{weights}: {SAID}"]


def test_and_in_the_log_of_its_scoring(weights, dataset, tmp_path, capsys):
    evaluate.evaluate(dataset, spec("swin_w32"), weights, tmp_path / "work")
    assert f"{weights}: {SAID}\n" in capsys.readouterr().out


def test_a_teacher_with_the_same_names_is_not_told(teacher, dataset, tmp_path, capsys):
    evaluate.evaluate(dataset, spec("swin_w32"), teacher, tmp_path / "work")
    assert "equal names" not in capsys.readouterr().out
