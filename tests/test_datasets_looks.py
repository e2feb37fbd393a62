"""Many image files: looked at in parallel, remembered, told."""

import os

import cv2
import numpy as np
import pytest
from PIL import Image

from mtpd import files
from mtpd.datasets import images, pixels


@pytest.fixture
def folder(tmp_path):
    """Images of several kinds, some of them damaged."""
    data = tmp_path / "data"
    data.mkdir()
    for number in range(40):
        cv2.imwrite(str(data / f"{number:02}.png"), np.full((16, 20 + number), number, np.uint8))
    (data / "sub").mkdir()
    (data / "sub/same.png").write_bytes((data / "03.png").read_bytes())
    (data / "cut.png").write_bytes((data / "03.png").read_bytes()[:-20])
    Image.new("RGB", (30, 40)).save(data / "moving.gif")
    return data


def every(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def look(tmp_path):
    def call(paths, decode="all", say=print):
        return images.look(paths, decode, say, tmp_path / "cache")

    return call


@pytest.fixture
def examined(monkeypatch):
    """The names of the files that are opened, and whether they are decoded."""
    seen = []
    usual = pixels.examine
    monkeypatch.setattr(
        pixels,
        "examine",
        lambda path, content, decode: seen.append((path.name, decode)) or usual(path, content, decode),
    )
    return seen


def test_each_file_has_its_look(folder, look):
    found = look(every(folder))
    assert list(found) == every(folder)
    for number in range(40):
        path = folder / f"{number:02}.png"
        assert found[path] == images.Look((20 + number, 16), None, files.sha256(path))
    assert found[folder / "cut.png"].problem.startswith("ends too early")
    assert found[folder / "moving.gif"].size == (30, 40) and found[folder / "moving.gif"].convert


def test_equal_files_are_found(folder, look):
    assert images.same_images(look(every(folder))) == [[folder / "03.png", folder / "sub/same.png"]]


def test_what_is_remembered_is_what_was_found(folder, look, examined):
    first = look(every(folder))
    assert len(examined) == len(first)
    assert look(every(folder)) == first
    assert len(examined) == len(first)


def test_a_changed_file_is_looked_at_again(folder, look, examined):
    look(every(folder))
    examined.clear()
    cv2.imwrite(str(folder / "05.png"), np.zeros((9, 9), np.uint8))
    status = (folder / "06.png").stat()
    os.utime(folder / "06.png", ns=(status.st_atime_ns, status.st_mtime_ns - 1))  # older, as by rsync -a
    (folder / "07.png").unlink()
    found = look([*every(folder), folder / "07.png"])
    assert sorted(examined) == [("05.png", True), ("06.png", True)]
    assert found[folder / "05.png"].size == (9, 9)
    assert found[folder / "07.png"].problem == "cannot be opened (No such file or directory)"


def test_what_other_versions_found_is_not_used(folder, look, examined, monkeypatch):
    look(every(folder))
    monkeypatch.setattr(images, "VERSION", "another")
    examined.clear()
    look(every(folder))
    assert len(examined) == len(every(folder))


def test_a_sample_is_decoded_and_headers_give_the_sizes(folder, look, examined, monkeypatch):
    monkeypatch.setattr(images, "SAMPLE", 10)
    sample = look(every(folder), "sample")
    chosen = {name for name, decode in examined if decode}
    assert len(chosen) == 10 and len(examined) == len(sample)
    # A header was enough for a sample. All are decoded when that is asked for, and then not once more.
    examined.clear()
    assert look(every(folder)) == sample
    assert not chosen & {name for name, _ in examined} and all(decode for _, decode in examined)
    examined.clear()
    assert look(every(folder), "sample") == sample
    assert not examined


def test_the_sample_stays_when_an_image_is_added(folder, look, examined, monkeypatch):
    monkeypatch.setattr(images, "SAMPLE", 10)
    paths = every(folder)
    look(paths[1:], "sample")
    before = {name for name, decode in examined if decode}
    examined.clear()
    look(paths, "sample")
    assert {name for name, decode in examined if decode} <= {paths[0].name}
    assert len(before) == 10


def test_nothing_is_opened_when_nothing_is_decoded(folder, look, examined):
    found = look(every(folder), "none")
    assert not examined
    assert {(one.size, one.problem) for one in found.values()} == {(None, None)}
    assert not images.same_images(found)


def test_an_interrupted_look_goes_on(folder, look, examined, monkeypatch):
    def interrupt(text):
        raise KeyboardInterrupt

    monkeypatch.setattr(images, "SECONDS", 0.0)
    monkeypatch.setattr(images, "_told", told_of(20, images._told))
    with pytest.raises(KeyboardInterrupt):
        look(every(folder), say=interrupt)
    examined.clear()
    look(every(folder), say=lambda text: None)
    assert len(examined) == len(every(folder)) - 20


def told_of(count, usual):
    """Progress is told after so many images only."""

    def told(rows, total, say):
        rows = iter(rows)
        for _ in range(count):
            yield next(rows)
        yield from usual(rows, total, say)

    return told


def test_progress_and_the_time_left_are_told(folder, look, monkeypatch):
    monkeypatch.setattr(images, "SECONDS", 0.0)
    said = []
    look(every(folder), say=said.append)
    assert len(said) == len(every(folder)) == 43
    assert said[20].startswith("looked at 21 of 43 images, about ")
    assert said[-1] == "looked at 43 of 43 images, about 0 seconds left"


def test_what_another_process_found_meanwhile_is_kept(folder, look, tmp_path, examined):
    paths = every(folder)
    memory = images._Memory(tmp_path / "cache", paths)
    first = look(paths)
    memory.put(paths[0], images._version(paths[0]), True, first[paths[0]])
    memory.write()
    examined.clear()
    assert look(paths) == first and not examined


def test_no_images(look):
    assert look([]) == {}
