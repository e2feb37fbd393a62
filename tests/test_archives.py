"""Folders that are taken out of zip files from a server on this machine, which answers badly."""

import hashlib

import pytest
from servers import serving_without_caches, zipped

from mtpd import fetch
from mtpd.datasets.archives import fetch_folder
from mtpd.fetch import FetchError, Wanted

TRAIN = zipped({f"train/{number}.png": f"image {number}" for number in range(4)} | {"other/file": "left out"})


@pytest.fixture
def site(tmp_path, monkeypatch):
    with serving_without_caches(tmp_path, monkeypatch) as site:
        site.files["/train.zip"] = TRAIN
        yield site


class Taking:
    """A call of ``fetch_folder``, without pauses between tries."""

    def __init__(self, url, content, files, folder, monkeypatch):
        monkeypatch.setattr(fetch, "PAUSES", (0, 0, 0))
        self.wanted = Wanted("dataset.download.data/train", url, hashlib.sha256(content).hexdigest())
        self.folder, self.files, self.work = folder / "data/train", files, folder / "work"
        self.folder.parent.mkdir()

    def __call__(self):
        fetch_folder(self.wanted, self.folder, self.files, self.work)

    def fails(self, words):
        with pytest.raises(FetchError, match=words):
            self()


@pytest.fixture
def taking(site, tmp_path, monkeypatch):
    return Taking(f"{site.url}/train.zip", TRAIN, 4, tmp_path, monkeypatch)


def test_an_archive_in_the_cache_needs_no_network_and_stays(taking, site, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/train.zip").write_bytes(TRAIN)
    taking()
    assert len(list(taking.folder.iterdir())) == 4
    assert (tmp_path / "cache/train.zip").exists() and not site.asked


def test_without_network_it_says_what_to_do_and_goes_on_later(taking, site, tmp_path):
    site.breaks = [500, 0, 0, 0]
    taking.fails("train.zip could not be downloaded")
    assert not taking.folder.exists()
    taking()
    assert site.asked[-1] == ("/train.zip", "bytes=500-")
    assert len(list(taking.folder.iterdir())) == 4


def test_another_number_of_files_is_an_error(taking):
    taking.files = 5
    taking.fails("found 4 files in train/ of the zip file, expected 5")
    assert not taking.folder.exists()


def test_what_is_no_zip_file_is_an_error(taking, site):
    site.files["/train.zip"] = b"a page of a proxy"
    taking.wanted = Wanted("data", taking.wanted.url, hashlib.sha256(b"a page of a proxy").hexdigest())
    taking.fails("not a zip file")


def test_a_damaged_file_in_an_archive_is_found(taking, site):
    """The hash of the zip file is right, that of a file in it is not."""
    good = zipped({f"train/{n}.png": f"image {n}" for n in range(4)})
    site.files["/train.zip"] = bad = good.replace(b"image 2", b"image 9", 1)
    taking.wanted = Wanted("data", taking.wanted.url, hashlib.sha256(bad).hexdigest())
    taking.fails("Bad CRC-32")
    assert not taking.folder.exists()


def test_a_folder_with_files_is_not_touched_and_half_a_folder_of_a_killed_job_is_replaced(taking):
    taking.folder.mkdir()
    (taking.folder / "mine.png").write_text("mine")
    taking.fails("Directory not empty")
    assert [path.name for path in taking.folder.iterdir()] == ["mine.png"]
    assert (taking.folder.parent / ".train.partial").exists()
    (taking.folder / "mine.png").unlink()
    (taking.folder.parent / ".train.partial/train/half.png").write_text("half")
    taking()
    assert len(list(taking.folder.iterdir())) == 4
    assert not (taking.folder.parent / ".train.partial").exists()


def test_nothing_is_written_outside_the_folder(site, tmp_path, monkeypatch):
    site.files["/evil.zip"] = evil = zipped({"train/../../evil.png": "evil", "train/good.png": "good"})
    Taking(f"{site.url}/evil.zip", evil, 2, tmp_path, monkeypatch)()
    assert not list(tmp_path.glob("**/evil.png")) or list(tmp_path.glob("data/train/**/evil.png"))
    assert not (tmp_path / "evil.png").exists() and not (tmp_path.parent / "evil.png").exists()
