"""The digest of a folder of data: what an import reads counts, and nothing else."""

import os
import shutil

import pytest

from mtpd import files
from mtpd.datasets import content


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("train/a.jpg", "pixels"), ("train/a.txt", "0 .5 .5 .1 .1"), ("data.yaml", "nc: 1")):
        files.write_text(tmp_path / "data" / name, text)
    return tmp_path / "data"


def test_where_it_lies_does_not_count(data, tmp_path):
    before = content.digest(data)
    shutil.copytree(data, tmp_path / "other")
    assert content.digest(tmp_path / "other") == before == content.digest("data")


def test_the_time_of_annotations_does_not_count_and_that_of_images_does(data):
    """An image can be replaced by one of the same size, and to read all of them takes long."""
    before = content.digest(data)
    os.utime(data / "train/a.txt", (1e9, 1e9))
    assert content.digest(data) == before
    os.utime(data / "train/a.jpg", (1e9, 1e9))
    assert content.digest(data) != before


def test_images_elsewhere_count(data, tmp_path):
    """Those that data.yaml names, where the folder has none."""
    files.write_text(tmp_path / "only/data.yaml", "train: ../data/train\nnames: [cell]")
    before = content.digest(tmp_path / "only")
    files.write_text(data / "train/a.txt", "0 .5 .5 .2 .2")
    assert content.digest(tmp_path / "only") != before


def test_links_to_nothing_and_hidden_files_are_no_data(data):
    before = content.digest(data)
    (data / "extra.json").symlink_to("absent.json")
    (data / ".#data.yaml").symlink_to("someone@machine.1:2")
    assert content.digest(data) == before


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [
        ("train/a.txt", "0 .5 .5 .2 .2", True),  # of the same size
        ("train/a.jpg", "more pixels", True),
        ("train/b.jpg", "", True),
        ("data.yaml", "nc: 2", True),
        ("train/labels.cache", "of a trainer", False),
        (".DS_Store", "", False),
        ("runs/train/a.jpg", "drawn by a trainer", False),
    ],
)
def test_what_counts(name, text, counts, data):
    before = content.digest(data)
    files.write_text(data / name, text)
    assert (content.digest(data) != before) == counts


def test_files_are_read_once(data, monkeypatch):
    before = content.digest(data)
    monkeypatch.setattr(files, "sha256", lambda path: pytest.fail("read again"))
    assert content.digest(data) == before


def test_an_older_file_of_the_same_size_counts(data):
    """As ``rsync -a`` puts it there."""
    before = content.digest(data)
    files.write_text(data / "train/a.txt", "1 .5 .5 .1 .1")
    os.utime(data / "train/a.txt", (1e9, 1e9))
    assert content.digest(data) != before


def test_no_folder_has_none(tmp_path):
    assert content.digest(tmp_path / "absent") is None
    assert content.digest(tmp_path) is None
