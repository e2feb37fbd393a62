"""Data that come from a server on this machine as zip files, by real Snakemake."""

import hashlib
import json

import pytest
import yaml
from conftest import PROJECT
from servers import serving, zipped
from snakes import planned, snakemake

from mtpd.datasets import shapes


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Four training and two validation images, as COCO is published: a zip file of each folder."""
    folder = tmp_path_factory.mktemp("data")
    found = {"annotations": {"annotations/": "", "annotations/captions.json": "{}"}}
    for split, images in (("train", 4), ("val", 2)):
        (folder / split).mkdir()
        coco = shapes.generate(folder / split, split, images, 64, 0)
        found["annotations"][f"annotations/{split}.json"] = json.dumps(coco)
        found[split] = {f"{split}/{path.name}": path.read_bytes() for path in (folder / split).iterdir()}
    return {name: zipped(files) for name, files in found.items()}


@pytest.fixture
def site(archives, tmp_path, monkeypatch):
    monkeypatch.setenv("MTPD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as site:
        site.files = {f"/{name}.zip": content for name, content in archives.items()}
        yield site


@pytest.fixture
def own(site, archives, tmp_path):
    """The folder of an experiment that downloads its data, and the experiment."""
    download = {
        f"data/{name}": {
            "url": f"{site.url}/{name}.zip",
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "files": {"annotations": 3, "train": 4, "val": 2}[name],
        }
        for name, content in archives.items()
    }
    splits = {
        split: {"annotations": f"data/annotations/{split}.json", "images": f"data/{split}"}
        for split in ("train", "val")
    }
    recipe = {"optimizer": {"type": "AdamW", "lr": 1e-3}, "batch_size": 4}
    experiment = {
        "experiment": "own",
        "dataset": {"name": "mine", **splits, "scale": [64, 64], "download": download},
        "detectors": {
            "student": {"config": "config/detectors/r18_w4.py", "train": {"recipe": "alone", "epochs": 1}}
        },
        "students": ["student"],
        "recipes": {"alone": recipe},
        "arms": {"alone": {"recipe": "alone", "chain": "none@1"}},
    }
    (tmp_path / "config").symlink_to(PROJECT / "config")
    return tmp_path, experiment


def written(own):
    folder, experiment = own
    (folder / "own.yaml").write_text(yaml.safe_dump(experiment))
    return folder / "own.yaml"


def fetched(own):
    return snakemake(own[0], "--keep-going", "--", "fetched", config=written(own))


def contents(folder):
    """Name, bytes and time of every file below a folder."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in (folder / "data").rglob("*")
        if path.is_file() and path.name != ".snakemake_timestamp"
    }


def test_data_are_fetched_once_and_then_belong_to_the_user(own, site):
    """A run says what is missing and runs nothing; ``fetched`` brings it, also over a broken connection."""
    folder, _ = own
    jobs = planned(folder, written(own))
    assert jobs["fetch_data_annotations"] == jobs["train_stage"] == 1
    code, said = snakemake(folder, config=written(own))
    assert code != 0
    assert "Nothing was run" in said
    assert "dataset: not there yet: data/annotations, data/train, data/val: first download" in said
    assert not site.asked and not (folder / "data").exists()
    site.breaks = [100, 100]
    code, said = fetched(own)
    assert code == 0, said
    assert f"To be fetched: {site.url}/train.zip" in said
    assert len(site.asked) == 3 + 2
    assert {bytes_range for _, bytes_range in site.asked} >= {None, "bytes=100-"}
    before = contents(folder)
    assert len(before) == 3 + 4 + 2
    assert not list((folder / "work/downloads").glob("*.part"))
    site.files.clear()
    code, said = snakemake(folder, "--forceall", "--", "fetched", config=written(own))
    assert code == 0, said
    assert "fetch_data" not in said
    code, said = snakemake(folder, "-n", "--forceall", config=written(own))
    assert code == 0, said
    assert "fetch_data" not in said
    assert contents(folder) == before


def test_only_what_is_missing_is_fetched(own, site):
    """The user has the training images, somewhere else, and a validation image of their own."""
    folder, experiment = own
    for name in ("else/train", "data/val"):
        (folder / name).mkdir(parents=True)
        (folder / name / "mine.png").write_bytes(b"mine")
    experiment["dataset"]["train"]["images"] = "else/train"
    code, said = fetched(own)
    assert code == 0, said
    assert [path for path, _ in site.asked] == ["/annotations.zip"]
    assert (folder / "data/val/mine.png").read_bytes() == b"mine"
    assert sorted(contents(folder)) == [
        "data/annotations/captions.json",
        "data/annotations/train.json",
        "data/annotations/val.json",
        "data/val/mine.png",
    ]


def test_a_folder_that_is_not_complete_is_left_as_it_is(own, site):
    folder, _ = own
    (folder / "data/annotations").mkdir(parents=True)
    (folder / "data/annotations/train.json").write_text("{}")
    code, said = fetched(own)
    assert code == 0, said
    assert "dataset.val.annotations: no such file or folder: data/annotations/val.json" in said
    assert "(data/annotations has other files, so it is not downloaded" in said
    assert sorted(path for path, _ in site.asked) == ["/train.zip", "/val.zip"]


def test_a_wrong_file_and_a_missing_one_are_named_and_the_rest_is_kept(own, site):
    folder, experiment = own
    site.files["/train.zip"] = zipped({"train/other.png": "another"})
    del site.files["/val.zip"]
    code, said = fetched(own)
    assert code != 0
    assert "dataset.download.data/train: train.zip could not be downloaded" in said
    assert (
        f"expected {experiment['dataset']['download']['data/train']['sha256']}: not the expected file" in said
    )
    assert f"{site.url}/val.zip: HTTP 404" in said
    assert sorted(contents(folder)) == [f"data/annotations/{n}.json" for n in ("captions", "train", "val")]
    assert not (folder / "data/train").exists()


def test_data_that_are_missing_do_not_keep_checkpoints_from_being_fetched(own, tmp_path):
    """There is no data set anywhere; a detector's file is fetched all the same."""
    folder, experiment = own
    experiment["dataset"]["download"] = {}
    (tmp_path / "weights.pth").write_bytes(b"weights")
    experiment["detectors"]["student"] = {
        "config": "config/detectors/r18_w4.py",
        "url": (tmp_path / "weights.pth").as_uri(),
        "sha256": hashlib.sha256(b"weights").hexdigest(),
    }
    code, said = fetched(own)
    assert code == 0, said
    assert "dataset.train.annotations: no such file or folder: data/annotations/train.json" in said
    assert (folder / "results/mine/detectors/student/weights.pth").read_bytes() == b"weights"
