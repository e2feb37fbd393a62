"""What an import says where people do not know what to do: which file, what is there, which key decides."""

import pytest
from data_folders import TRAIN, VAL, Pair


@pytest.fixture
def pair(tmp_path):
    return Pair(tmp_path)


def test_classes_that_only_one_split_has_are_joined(pair):
    pair.val["categories"][0]["name"] = "Cell"
    text = pair.stopped(classes={"cell": ["cell", "Cell", "cel"], "plate": ["plate"]})
    assert text == "dataset.classes names cel; the classes are cell, plate, Cell"
    pair.imported(classes={"cell": ["cell", "Cell"], "plate": ["plate"]})
    pair.check_splits({"train": TRAIN, "val": VAL})
