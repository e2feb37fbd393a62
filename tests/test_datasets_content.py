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


def test_where_it_lies_and_when_it_was_copied_do_not_count(data, tmp_path):
    before = content.digest(data)
    shutil.copytree(data, tmp_path / "other", copy_function=shutil.copyfile)
    assert content.digest(tmp_path / "other") == before == content.digest("data")


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
