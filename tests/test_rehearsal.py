"""A rehearsal: the real graph on a few images, in folders of its own, with its results stamped."""

import json
import shutil

import pandas as pd
import pytest
import torch
import yaml
from conftest import PROJECT, build
from snakes import TINY, changed, snakemake

from mtpd.data.coco import classes_to_draw
from mtpd.datasets import shapes
from mtpd.detectors import checkpoints
from mtpd.experiment import data_specs, specs
from mtpd.experiment.folders import Layout, is_rehearsal
from mtpd.experiment.reading import load_experiment, load_with_files
from mtpd.experiment.rehearsal import rehearsed
from mtpd.report import plots, stamps

REHEARSAL = ("--config", "rehearsal=true")
CLASSES = ["car", "bus"]


def on_disk(**changes):
    """An experiment whose data and teachers are on disk or elsewhere: a student and two teachers."""
    return {
        "experiment": "own",
        "dataset": {
            "name": "mine",
            "train": {"annotations": "data/train.json", "images": "data/train"},
            "val": {"annotations": "data/val.json", "images": "data/val"},
        },
        "detectors": {
            "student": {
                "config": "config/detectors/r18_w4.py",
                "train": {"recipe": "alone", "epochs": 12},
            },
            "swin": {"config": "config/detectors/swin_w32.py", "file": "swin.pth"},
        },
        "students": ["student"],
        "pools": {"all": ["swin"]},
        "recipes": {
            "alone": {"batch_size": 16, "micro_batch_size": 2, "precision": "bfloat16"},
            "pkd": {"loss": {"name": "pkd"}},
        },
        "arms": {
            "no-teacher": {
                "recipe": "alone",
                "chain": "none@12",
                "seeds": [0, 1],
                "paper": "retinanet_r50-baseline",
            },
            "progressive": {
                "recipe": "pkd",
                "policy": "bgs",
                "pool": "all",
                "epochs": 24,
                "seeds": [1, 2],
                "against": ["no-teacher"],
            },
        },
        **changes,
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with an annotation file, but without images and checkpoints."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(PROJECT / "config")
    (tmp_path / "data").mkdir()
    categories = [{"id": 7 * i, "name": name} for i, name in enumerate(CLASSES)]
    (tmp_path / "data/train.json").write_text(json.dumps({"images": [], "categories": categories}))
    return tmp_path


def rehearse(folder, experiment, *arguments):
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(experiment, sort_keys=False))
    return snakemake(folder, *arguments, *REHEARSAL, config=path)


def test_everything_becomes_small_and_has_folders_of_its_own(folder):
    detectors = on_disk()["detectors"]
    url = {"config": "config/detectors/r18_w8.py", "url": "https://h/x.pth", "sha256": "0" * 8}
    detectors |= {"there": {**url, "config": "config/detectors/r18_w16.py"}, "elsewhere": url}
    there = folder / "results/mine/detectors/there/weights.pth"
    there.parent.mkdir(parents=True)
    there.touch()
    content = on_disk(detectors=detectors, pools={"all": ["swin", "there", "elsewhere"]}, rehearsal=True)
    found = load_with_files(content, "own.yaml", PROJECT)
    assert (found.experiment, found.dataset.name) == ("rehearsal/own", "rehearsal/mine")
    assert found.dataset.scale == (256, 160)
    assert found.detectors["student"].train.epochs == 1
    assert found.detectors["there"].file == str(there.relative_to(folder))
    assert not any(
        found.detectors[name].model_dump()[k] for name in ("swin", "elsewhere") for k in ("file", "url")
    )
    recipes = found.recipes.values()
    assert [(r.batch_size, r.micro_batch_size) for r in recipes] == [(4, 2), (4, None)]
    assert found.arms["no-teacher"].chain == "none@1"
    assert found.arms["progressive"].epochs == 3  # stages at most
    assert found.arms["every-teacher-pkd-all"].policy == "by-ap"
    assert found.seeds == (0,) and not any(arm.seeds for arm in found.arms.values())
    assert data_specs.annotations(found, Layout(found.experiment, found.dataset.name)) == {
        split: f"results/rehearsal/mine/data/{split}.json" for split in ("train", "val")
    }
    stage = specs.stage(found, Layout("", ""), "student", "alone", "none@1", 0)
    assert stage["pretrained"] is False
    assert specs.complexity(found, Layout("", ""))["quick"]


def test_a_scale_that_is_small_already_and_a_generated_set_stay():
    found = rehearsed(load_experiment(yaml.safe_load(TINY.read_text())))
    assert found.dataset.scale == (64, 64) and found.dataset.train is None
    assert data_specs.stood_in_for(found) is None


def test_classes_are_drawn_by_name_in_turns(tmp_path):
    names = tuple(f"class {i}" for i in range(8))
    coco = shapes.generate(tmp_path, "train", 20, 64, 0, names)
    assert [category["name"] for category in coco["categories"]] == list(names)
    assert {item["category_id"] for item in coco["annotations"]} == set(range(1, 9))
    assert classes_to_draw(str(tmp_path / "missing.json"))[:2] == ("person", "bicycle")


def test_what_a_rehearsal_writes_is_stamped(tmp_path):
    assert is_rehearsal("results/rehearsal/tiny/tables/main.md") and not is_rehearsal(
        "results/tiny/rehearsal"
    )
    assert stamps.stamped("results/rehearsal/tiny/tables/main.tex", "x").startswith(r"\textbf{Rehearsal: ")
    assert stamps.stamped("results/rehearsal/tiny/tables/main.csv", "x") == "x"
    assert stamps.stamped("results/tiny/tables/main.md", "x") == "x"
    for path, stamped in (("results/rehearsal/a.svg", True), ("results/a.svg", False)):
        figure = plots.plt.figure()
        figure.suptitle("AP")
        stamps.stamp(figure, path)
        assert (figure.get_suptitle() != "AP") == stamped == (len(figure.texts) > 1)


def test_an_experiment_without_its_data_and_checkpoints_is_rehearsed_to_tables_and_plots(folder):
    earlier = folder / "results/own/tables/main.csv"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("an earlier result")
    code, said = rehearse(folder, on_disk())
    assert code == 0, said
    assert "detectors.swin: no checkpoint is there" in said
    tables, figures = (folder / "results/rehearsal/own" / name for name in ("tables", "plots"))
    assert pd.read_csv(tables / "main.csv")["row"].tolist() == [
        "swin",
        "student",
        "no-teacher",
        "progressive",
        "every-teacher-pkd-all",
    ]
    assert (tables / "paper.md").exists()
    for path in (*tables.glob("*.md"), *tables.glob("*.tex")):
        assert stamps.WORDS in path.read_text().splitlines()[0], path
    drawn = list(figures.glob("*.svg"))
    assert len(drawn) == 5
    for path in drawn:
        assert "<!-- rehearsal -->" in path.read_text(), path
    teacher = folder / "results/rehearsal/mine/detectors/swin/weights.pth"
    assert checkpoints.classes_of_checkpoint(teacher) == tuple(CLASSES)
    assert earlier.read_text() == "an earlier result"
    assert sorted(path.name for path in (folder / "results").iterdir()) == ["own", "rehearsal"]


def test_mistakes_stop_a_rehearsal(folder):
    """A wrong name in a recipe, and a checkpoint whose tensors do not fit, before the first job."""
    wrong = on_disk()
    wrong["recipes"]["pkd"]["loss"]["nmae"] = "pkd"
    code, said = rehearse(folder, wrong, "-n")
    assert code != 0
    assert "recipes.pkd.loss.nmae: unknown key; did you mean 'name'?" in said
    torch.save({"state_dict": build("r18_w16").state_dict()}, folder / "swin.pth")
    wrong = on_disk()
    wrong["recipes"]["pkd"]["optimizer"] = {"type": "AdmaW", "lr": 0.001}
    code, said = rehearse(folder, wrong)
    assert code != 0
    assert "swin.pth: does not fit its detector" in said, said
    assert "recipes.pkd.optimizer.type: found 'AdmaW'; did you mean 'AdamW'?" in said
    assert not (folder / "results").exists()


PAPER = [
    path for path in sorted(PROJECT.glob("config/paper/*.yaml")) if "arms" in yaml.safe_load(path.read_text())
]


@pytest.mark.slow
@pytest.mark.parametrize("path", [*PAPER, PROJECT / "tests/data/paper.yaml"], ids=lambda path: path.stem)
def test_the_papers_architectures_are_rehearsed(path, tmp_path):
    code, said = snakemake(tmp_path, *REHEARSAL, config=path)
    assert code == 0, said
    assert list(tmp_path.glob("results/rehearsal/*/tables/main.md"))
    shutil.rmtree(tmp_path)  # gigabytes


def test_the_demo_is_planned_as_a_rehearsal(tmp_path):
    config = changed(tmp_path, "demo", lambda e: None, source=PROJECT / "config/config.yaml")
    code, said = snakemake(tmp_path, "-n", *REHEARSAL, config=config)
    assert code == 0, said
    assert "results/rehearsal/shapes/students/r18w4" in said
