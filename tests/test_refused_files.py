"""What often lies in the place of a checkpoint is named: by its reader, by the checks, and by a download."""

import io

import pytest
import torch
from conftest import spec
from servers import serving_without_caches

from mtpd import fetch
from mtpd.checks.problems import Checks
from mtpd.detectors import checkpoints


def saved(content):
    """A file of torch, as bytes."""
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def program():
    """A TorchScript program, as bytes."""
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), file)
    return file.getvalue()


class Own:
    pass


WHOLE = saved({"state_dict": {"weight": torch.zeros(100)}})
LARGE = saved({"state_dict": {"weight": torch.zeros(500_000)}})
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 123456\n"
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><title>Sign in</title></html>"
CUT = "a zip file that is cut off: copy or download it again"
FILES = {
    "empty": (b"", "an empty file: copy or download it again"),
    "pointer": (POINTER, "a pointer of Git LFS, not the file itself: run 'git lfs pull' in its repository"),
    "page": (
        PAGE,
        "an HTML page, not the file itself: see in a browser what it says, and download the file",
    ),
    "cut-off": (WHOLE[: len(WHOLE) // 2], CUT),
    "cut-off-early": (LARGE[:9999], CUT),  # torch then asks for bytes that no disk has
    "text": (
        b"hello",
        "it is damaged, or torch.save did not write it: copy or download it again (KeyError: 101)",
    ),
    "numbers": (
        b"\x80\x02\xff\x00",
        "it is damaged, or torch.save did not write it: copy or download it again",
    ),
    "program": (program(), "a program (TorchScript): take the weights (state_dict) that it was made from"),
    "objects": (
        saved({"state_dict": {}, "meta": Own()}),
        f"it has {Own.__module__}.Own, but only tensors and plain values are read, because other objects can "
        "run code: take the weights (state_dict) alone",
    ),
}
INSTEAD = ("empty", "pointer", "page", "cut-off")  # these need not be read as a checkpoint to be known


@pytest.mark.parametrize("case", FILES)
@pytest.mark.filterwarnings("ignore:'torch.load' received a zip file")
def test_it_is_named_with_what_to_do(case, tmp_path):
    content, words = FILES[case]
    path = tmp_path / "swin.pth"
    path.write_bytes(content)
    expected = f"{path}: refused, not a plain checkpoint: {words}"
    with pytest.raises(checkpoints.CheckpointError) as error:
        checkpoints.read_checkpoint(path)
    assert str(error.value) == expected
    given = {**spec("swin_w32"), "file": str(path), "sha256": None}
    checks = Checks({"dataset": {"generated": True}, "detectors": {"swin": given}, "recipes": {}}, print)
    assert str(checks.attempt("swin")) == expected


def test_a_folder_is_no_damaged_file(tmp_path):
    with pytest.raises(checkpoints.CheckpointError, match="not a plain checkpoint: IsADirectoryError: "):
        checkpoints.read_checkpoint(tmp_path)


@pytest.mark.parametrize("case", INSTEAD)
def test_it_is_named_where_its_hash_is_wrong(case, tmp_path):
    content, words = FILES[case]
    path = tmp_path / "swin.pth"
    path.write_bytes(content)
    given = {**spec("swin_w32"), "file": str(path), "sha256": "01234567"}
    checks = Checks({"dataset": {"generated": True}, "detectors": {"swin": given}, "recipes": {}}, print)
    assert str(checks.attempt("swin")) == f"{path}: {words}"


@pytest.mark.parametrize("sha256", ["", "01234567"])
@pytest.mark.parametrize("case", INSTEAD)
def test_it_is_named_where_it_is_downloaded_and_not_kept(case, sha256, tmp_path, monkeypatch):
    content, words = FILES[case]
    with serving_without_caches(tmp_path, monkeypatch) as site:
        site.files["/swin.pth"] = content
        address = f"{site.url}/swin.pth"
        with pytest.raises(fetch.FetchError) as error:
            fetch.fetch(fetch.Wanted("detectors.swin", address, sha256), tmp_path / "out.pth", tmp_path)
    assert f"  {address}: {words}\n" in str(error.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_it_is_not_taken_from_a_cache(tmp_path, monkeypatch, capsys):
    with serving_without_caches(tmp_path, monkeypatch) as site:
        site.files["/swin.pth"] = WHOLE
        cached = tmp_path / "cache/swin.pth"
        cached.parent.mkdir()
        cached.write_bytes(PAGE)
        wanted = fetch.Wanted("detectors.swin", f"{site.url}/swin.pth", "")
        fetch.fetch(wanted, tmp_path / "out.pth", tmp_path / "work")
    assert (tmp_path / "out.pth").read_bytes() == cached.read_bytes() == WHOLE
    assert f"{cached}: not used: an HTML page" in capsys.readouterr().out
