"""Downloads from a server that breaks off, refuses, is busy, or sends another file."""

import errno
import hashlib
import io
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from conftest import PROJECT
from servers import serving_without_caches

from mtpd import fetch
from mtpd.fetch import FetchError, Wanted

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A server with the file; the caches are empty."""
    with serving_without_caches(tmp_path, monkeypatch) as site:
        site.files["/weights.pth"] = CONTENT
        yield site


class Fetching:
    """A call of ``fetch`` into a folder, without pauses; it can be made again."""

    def __init__(self, url, folder, sha256=SHA256[:8]):
        self.wanted = Wanted("detectors.r101", url, sha256)
        self.target, self.work, self.pauses = folder / "out/weights.pth", folder / "work", []

    def __call__(self):
        fetch.fetch(self.wanted, self.target, self.work, self.pauses.append)

    def fails(self):
        """The message of the error; the file did not get its name."""
        with pytest.raises(FetchError) as error:
            self()
        assert not self.target.exists()
        return str(error.value)

    def partial(self):
        (path,) = self.work.glob("*.part")
        return path


@pytest.fixture
def fetching(site, tmp_path):
    return Fetching(f"{site.url}/weights.pth", tmp_path)


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_it_gets_its_name_and_lies_in_the_cache(site, fetching, tmp_path):
    fetching()
    assert fetching.target.read_bytes() == CONTENT
    assert files_in(tmp_path) == ["weights.pth", "weights.pth"]
    assert (tmp_path / "cache/weights.pth").read_bytes() == CONTENT


def test_a_download_broken_off_three_times_goes_on_where_it_was(site, fetching):
    site.breaks = [100_000, 50_000, 50_000]
    fetching()
    assert [asked for _, asked in site.asked] == [None, "bytes=100000-", "bytes=150000-", "bytes=200000-"]
    assert fetching.target.read_bytes() == CONTENT
    assert fetching.pauses == [1, 1, 1]  # something had arrived each time


def test_pauses_grow_while_nothing_arrives_and_the_next_start_resumes(site, fetching):
    site.breaks = [100_000, 0, 0, 0]
    message = fetching.fails()
    assert fetching.pauses == [1, 5, 20]
    assert "broken off after 0 of 156000 bytes (4 times in a row)" in message
    fetching()
    assert site.asked[-1][1] == "bytes=100000-"
    assert fetching.target.read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(site, fetching):
    site.busy = 3
    fetching()
    assert fetching.pauses == [1, 5, 20]


def test_a_server_that_ignores_ranges_sends_the_whole_file(site, fetching):
    site.ranges, site.breaks = False, [100_000, 150_000]
    fetching()
    assert fetching.target.read_bytes() == CONTENT


def test_a_complete_part_is_not_asked_for_again(site, fetching):
    """The process was killed after the last byte."""
    site.breaks = [100_000, 0, 0, 0]
    fetching.fails()
    fetching.partial().write_bytes(CONTENT)
    fetching()
    assert site.asked[-1][1] == f"bytes={len(CONTENT)}-"
    assert fetching.target.read_bytes() == CONTENT


def test_a_part_of_another_file_is_thrown_away(site, fetching):
    site.files["/weights.pth"], site.breaks = b"x" * 1000, [500, 0, 0, 0]
    fetching.fails()
    site.files["/weights.pth"] = CONTENT
    fetching()
    assert [asked for _, asked in site.asked[-2:]] == ["bytes=500-", None]
    assert fetching.target.read_bytes() == CONTENT


def test_a_wrong_hash_says_what_was_found_and_leaves_nothing(site, tmp_path):
    fetching = Fetching(f"{site.url}/weights.pth", tmp_path, "01234567")
    message = fetching.fails()
    assert f"found SHA-256 {SHA256[:16]}..., expected 01234567" in message
    assert files_in(tmp_path) == []
    assert len(site.asked) == 1


def test_a_missing_file_says_where_it_was_tried_and_what_to_do(site, tmp_path):
    fetching = Fetching(f"{site.url}/other.pth", tmp_path)
    message = fetching.fails()
    assert "detectors.r101: other.pth could not be downloaded" in message
    assert f"{site.url}/other.pth: HTTP 404" in message
    assert str(tmp_path / "cache/other.pth") in message
    assert f"must begin with {SHA256[:8]}" in message
    assert fetching.pauses == []


def test_without_network_it_says_so_after_the_pauses(site, tmp_path):
    fetching = Fetching("http://127.0.0.1:1/weights.pth", tmp_path)  # nothing listens there
    assert "Connection refused" in fetching.fails()
    assert fetching.pauses == [1, 5, 20]


def test_mirrors_are_tried_first_and_a_bad_one_is_left(site, tmp_path, monkeypatch):
    site.files |= {"/mirror/a/weights.pth": b"another file", "/mirror/b/weights.pth": CONTENT}
    pairs = [f"https://zoo.invalid={site.url}/{mirror}" for mirror in ("none", "mirror/a", "mirror/b")]
    monkeypatch.setenv("MTPD_MIRRORS", " ".join(["https://elsewhere.invalid=http://127.0.0.1:1", *pairs]))
    fetching = Fetching("https://zoo.invalid/weights.pth", tmp_path)
    fetching()
    assert fetching.target.read_bytes() == CONTENT
    asked = [path for path, _ in site.asked]
    assert asked == ["/none/weights.pth", "/mirror/a/weights.pth", "/mirror/b/weights.pth"]


def test_a_mirror_that_is_no_address_is_an_error(fetching, monkeypatch):
    monkeypatch.setenv("MTPD_MIRRORS", "https://zoo.invalid")
    assert "MTPD_MIRRORS: found 'https://zoo.invalid'" in fetching.fails()


@pytest.mark.parametrize("folder", ["cache", "torch/hub/checkpoints"])
def test_a_file_in_a_cache_needs_no_network(folder, site, tmp_path):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "weights.pth").write_bytes(CONTENT)
    fetching = Fetching("http://127.0.0.1:1/weights.pth", tmp_path)
    fetching()
    assert fetching.target.read_bytes() == CONTENT
    assert fetching.pauses == []


def test_another_file_of_that_name_in_the_cache_is_replaced(site, fetching, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/weights.pth").write_bytes(CONTENT[:-1])
    fetching()
    assert fetching.target.read_bytes() == (tmp_path / "cache/weights.pth").read_bytes() == CONTENT


def test_torchs_folder_is_found_without_torch(monkeypatch):
    for home in ("/some/home", None):
        monkeypatch.setenv("TORCH_HOME", home) if home else monkeypatch.delenv("TORCH_HOME", raising=False)
        assert str(fetch.torch_cache()) == f"{torch.hub.get_dir()}/checkpoints"


def test_a_full_disk_is_named_and_what_has_arrived_is_kept(site, fetching, monkeypatch):
    class Full(io.FileIO):
        def __init__(self, file, mode="r", encoding=None):
            super().__init__(file, mode.removesuffix("b"))

        def write(self, block):
            if self.tell() + len(block) > 2 * fetch.BLOCK:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(block)

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "open", Full, raising=False)
        message = fetching.fails()
    assert "detectors.r101: weights.pth: [Errno 28] No space left on device" in message
    assert str(fetching.partial()) in message
    fetching()
    assert site.asked[-1][1] == f"bytes={2 * fetch.BLOCK}-"
    assert fetching.target.read_bytes() == CONTENT


def test_a_disk_without_room_is_named_before_all_of_it_arrives(fetching, monkeypatch):
    free = shutil.disk_usage("/")._replace(free=len(CONTENT) - 1)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: free)
        assert "0.0 GB are to come, but only 0.0 GB are free" in fetching.fails()
    assert not fetching.partial().stat().st_size
    fetching()


def test_a_cache_that_cannot_be_written_is_no_error(fetching, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MTPD_CACHE", str(tmp_path / "file/cache"))
    fetching()
    assert fetching.target.read_bytes() == CONTENT


def test_two_at_once_download_it_once(site, fetching):
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(fetching) for _ in range(4)]:
            done.result()
    assert len(site.asked) == 1
    assert fetching.target.read_bytes() == CONTENT


def test_two_processes_in_two_folders_share_the_cache(site, tmp_path):
    command = [sys.executable, PROJECT / "workflow/scripts/download.py", "--url", f"{site.url}/weights.pth"]
    command += ["--sha256", SHA256, "--out", "results/d/weights.pth"]
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    running = [subprocess.Popen(command, cwd=folder) for folder in folders]
    assert [process.wait() for process in running] == [0, 0]
    for folder in folders:
        assert (folder / "results/d/weights.pth").read_bytes() == CONTENT
    assert files_in(tmp_path / "cache") == ["weights.pth"]


@pytest.mark.parametrize(
    ("url", "digits"),
    [
        ("https://download.pytorch.org/models/resnet50-19c8e357.pth", "19c8e357"),
        ("https://h/resnet50_8xb256-rsb-a1-600e_in1k_20211228-20e21305.pth", "20e21305"),
        ("https://h/cspnext-tiny_imagenet_600e.pth", ""),
        ("https://h/swin_tiny_patch4_window7_224.pth", ""),
    ],
)
def test_the_hash_is_read_from_a_files_name(url, digits):
    assert fetch.hash_in_name(url) == digits
