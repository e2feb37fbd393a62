"""Trained weights that detectors start from, in the experiment file and in the graph."""

import shutil

import pytest
import torch
import yaml
from conftest import PROJECT, spec
from snakes import changed, checked, found_wrong, planned, snakemake

from mtpd import files
from mtpd.datasets import shapes
from mtpd.detectors import configs
from mtpd.experiment import backbones, card_specs, consistency, input_files, specs
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import load_experiment
from mtpd.experiment.rehearsal import rehearsed
from mtpd.plan import estimate

RETINANET = "mmdet::retinanet/retinanet_r101_fpn_1x_coco.py"  # names torchvision's ResNet-101
LAYOUT = Layout("e", "d")
URL = {"url": "https://h/zoo-01234567.pth", "sha256": "0" * 64}
STAGE = "results/few-shapes/students/student/pkd/swin@1/seed0"


def experiment(initial, **changes):
    alone = {"train": {"recipe": "alone", "epochs": 2}}
    return {
        "experiment": "e",
        "dataset": {"name": "d", "generate": {}},
        "detectors": {
            "s": {"config": RETINANET, **alone, "initial": initial},
            "t": {"config": RETINANET, "file": "t.pth"},
        },
        "students": ["s"],
        "recipes": {
            "alone": {},
            "r": {"loss": {"name": "pkd"}},
            "own": {"loss": {"name": "pkd"}, "start": "student"},
        },
        "arms": {"a": {"recipe": "r", "chain": "t@1+t@1"}, "b": {"recipe": "own", "chain": "t@1"}},
        **changes,
    }


@pytest.mark.parametrize(
    ("initial", "wrong"),
    [
        ({}, "give exactly one of 'file' and 'url'"),
        ({"file": "a.pth", **URL}, "give exactly one of 'file' and 'url'"),
        ({"url": URL["url"]}, "'url' needs 'sha256': downloads are checked"),
        ({"file": "a.pth", "rows": True}, "detectors.s.initial.rows"),
    ],
)
def test_what_an_experiment_may_not_say(initial, wrong):
    with pytest.raises(ConfigError, match=wrong):
        load_experiment(experiment(initial))


def test_weights_that_are_taken_as_they_are_start_from_no_others():
    content = experiment({"file": "a.pth"})
    content["detectors"]["t"]["initial"] = {"file": "a.pth"}
    with pytest.raises(ConfigError, match=r"detectors\.t: 'initial' goes with 'train'"):
        load_experiment(content)


@pytest.mark.parametrize("initial", [URL, {"file": "zoo.pth", "class_rows": False}], ids=["url", "file"])
def test_only_stages_that_would_start_anew_start_from_them(initial):
    found = load_experiment(experiment(initial))
    starts = {
        (recipe, chain): specs.stage(found, LAYOUT, "s", recipe, chain, 0).get("initial")
        for recipe, chain in (("alone", "none@2"), ("r", "t@1"), ("r", "t@1+t@1"), ("own", "t@1"))
    }
    expected = {"class_rows": initial.get("class_rows", True)}
    assert starts == {
        ("alone", "none@2"): expected,
        ("r", "t@1"): expected,
        ("r", "t@1+t@1"): None,
        ("own", "t@1"): None,
    }
    assert backbones.by_user(found) == {"s": {}}  # they replace the weights that the config names
    assert backbones.of_stage(found, "s", "r", "t@1") == {}


def test_plan_files_and_cards_name_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = load_experiment(experiment({"file": "zoo.pth"}))
    assert [(source.user, source.place, source.present) for source in estimate.sources(found, LAYOUT)] == [
        ("s", "zoo.pth", False),
        ("t", "t.pth", False),
    ]
    assert "detectors.s.initial.file: no such file or folder: zoo.pth" in consistency.missing_files(found)
    (tmp_path / "project").mkdir()
    shipped = tmp_path / "project/zoo.pth"
    shipped.touch()
    moved = input_files.with_shipped_files(found, tmp_path / "project")
    assert moved.detectors["s"].initial.file == str(shipped)
    training = card_specs.publish(found, LAYOUT)["detectors"]["s"]["training"]
    assert training.startswith("started from zoo.pth, 2 epochs")
    assert card_specs.export(found, LAYOUT, "s", "r", "t@1+t@1", 0)["initial"]["place"] == "zoo.pth"
    assert "initial" not in card_specs.export(found, LAYOUT, "s", "own", "t@1", 0)


def test_a_rehearsal_takes_them_if_they_are_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = load_experiment(experiment(URL))
    without = rehearsed(named)
    assert specs.initial_weights(without, "s", "r", "t@1") is None
    kept = tmp_path / LAYOUT.detector("s", "initial.pth")
    kept.parent.mkdir(parents=True)
    kept.touch()
    taken = specs.initial_weights(rehearsed(named), "s", "r", "t@1")
    assert taken.file == LAYOUT.detector("s", "initial.pth")
    assert taken.url is None


def zoo(path, name, seed):
    """The checkpoint of a detector with four classes."""
    model = configs.build(configs.load_config(spec(name)["config"], {}, ("car", "bus", *shapes.CLASSES[:2])))
    torch.manual_seed(seed)
    model.init_weights()
    torch.save({"state_dict": model.state_dict()}, path)
    return str(path)


def fine_tuned(folder, places):
    """The tiny experiment with one arm, whose detectors start from these checkpoints."""

    def change(content):
        content["detectors"].pop("wide")
        content["pools"] = {}
        for name, detector in content["detectors"].items():
            detector["config"] = str(PROJECT / detector["config"])
            detector["initial"] = {"file": places[name]}
        content["arms"] = {"direct": {"recipe": "pkd", "chain": "swin@1"}}

    return changed(folder, "fine-tuned", change)


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory):
    """A folder with the results, and where the checkpoints lie."""
    folder = tmp_path_factory.mktemp("fine-tuned")
    places = {"student": zoo(folder / "a.pth", "r18_w8", 1), "swin": zoo(folder / "b.pth", "swin_w32", 2)}
    code, said = snakemake(folder, "--", "all", config=checked(folder, fine_tuned(folder, places)))
    assert code == 0, said
    return folder, places


def test_a_student_and_its_teacher_start_from_them(finished_folder):
    folder, places = finished_folder
    stages = {"student": STAGE, "swin": "results/few-shapes/students/swin/alone/none@1/seed0"}
    for name, stage in stages.items():
        log = (folder / f"{stage.replace('results', 'logs', 1)}/stage.log").read_text(encoding="utf-8")
        assert f"results/few-shapes/detectors/{name}/initial.pth: " in log
        assert "other classes (bbox_head.retina_cls.weight, bbox_head.retina_cls.bias)" in log
        assert (folder / stage / "initial.json").exists()
    assert planned(folder, fine_tuned(folder, places), "all") == {}


@pytest.mark.slow
def test_a_moved_checkpoint_trains_nothing_again_and_another_one_does(finished_folder, tmp_path):
    folder, places = finished_folder
    trained = (folder / STAGE / "student.pth").read_bytes()
    moved = shutil.move(places["student"], tmp_path / "moved.pth")
    config = fine_tuned(folder, {**places, "student": str(moved)})
    code, said = snakemake(folder, "--", f"{STAGE}/metrics.json", config=config)
    assert code == 0, said
    assert (folder / STAGE / "student.pth").read_bytes() == trained
    zoo(moved, "r18_w8", 3)
    code, said = snakemake(folder, "--", f"{STAGE}/metrics.json", config=config)
    assert code == 0, said
    assert (folder / STAGE / "student.pth").read_bytes() != trained


def test_a_checkpoint_that_does_not_fit_is_found_before_the_first_job(tmp_path):
    swin = zoo(tmp_path / "b.pth", "swin_w32", 2)
    config = fine_tuned(tmp_path, {"student": swin, "swin": swin})
    first, *_ = found_wrong(tmp_path, yaml.safe_load(config.read_text(encoding="utf-8")))
    assert first.startswith("detectors.student: ")
    assert "found 0% of the detector's backbone in it" in first


def test_a_checkpoint_with_an_address_is_downloaded_and_a_rehearsal_does_without(tmp_path):
    path = zoo(tmp_path / "b.pth", "swin_w32", 2)

    def from_address(content):
        for detector in content["detectors"].values():
            detector["config"] = str(PROJECT / detector["config"])
        content["detectors"]["swin"]["initial"] = {"url": f"file://{path}", "sha256": files.sha256(path)[:8]}

    config = changed(tmp_path, "address", from_address)
    _, said = snakemake(tmp_path, "-n", "--config", "rehearsal=true", config=config)
    assert "detectors.swin.initial: no checkpoint is there; the rehearsal starts without it" in said
    code, said = snakemake(tmp_path, "--", "fetched", config=config)
    assert code == 0, said
    assert f"To be fetched, if a job needs it: file://{path}, for detectors.swin" in said
    assert files.sha256(tmp_path / "results/few-shapes/detectors/swin/initial.pth") == files.sha256(path)
