"""The experiments of config/paper: what they say, and the jobs that they plan, counted by hand."""

import csv
from pathlib import Path

import mmdet
import pytest
import yaml
from conftest import PROJECT
from snakes import dry_run, jobs_of, stages_of, stages_of_plan
from test_new import draw

from mtpd.experiment import chains, rows
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.folders import Layout
from mtpd.experiment.includes import with_includes
from mtpd.experiment.policies import backward_greedy_selection, orders_by_policy
from mtpd.experiment.reading import load_experiment
from mtpd.training.schedules import milestones

FOLDER = PROJECT / "config/paper"
PARTS = ("coco", "recipes", "zoo")  # included by the others
ALWAYS = {"import_data": 1, "take_imported": 2, "list_rows": 1, "measure_complexity": 1}
ALWAYS |= {"write_tables": 1, "plot_stages": 1, "write_comparison": 1}
PAPER = {"write_paper": 1}
ORDER = {"order_teachers": 1, "plot_costs": 1, "rank_orders": 1}


def zoo(count, backbones=1):
    """So many detectors from the model zoo, and pretrained backbones: one ResNet-50 for all students."""
    return {"download": count, "evaluate": count, "fetch_backbone": backbones}


# A stage that several arms begin with is one job. Chains without a teacher: none@12 and so on.
JOBS = {
    # none@12, none@24; X@24; X@12, X@12+X@12; R@12, R@12+X@12
    "retinanet_convolutional": {**zoo(3), "train_stage": 7, **PAPER},
    # two teachers, which start from a Swin each; none@24; S@24; S@12, S@12+S@12; T@12, T@12+S@12
    "retinanet_transformer": {**zoo(1, backbones=3), "take_trained": 2, "train_stage": 8, **PAPER},
    "mask_rcnn_cascade_dcn": {**zoo(3), "train_stage": 7, **PAPER},
    "mask_rcnn_transformer": {**zoo(3), "train_stage": 6, **PAPER},
    "reppoints": {**zoo(3), "train_stage": 6, **PAPER},
    # 3 students x 3 losses x (direct, and two stages)
    "figure_losses": {**zoo(9), "train_stage": 27, **PAPER},
    # none@36, X@36; the others are known once the order is
    "order_of_teachers": {**zoo(4), "train_stage": 2, **ORDER},
    # none@36; X@36; X@12, twice, three times; two@18; three; A@12 with X@12
    "number_of_teachers": {**zoo(4), "train_stage": 1 + 1 + 3 + 2 + 3 + 2},
    "sequence_or_at_once": {**zoo(3), "train_stage": 4 + 2},
    # none@12, @24, @36, twice; X@24; X@12, twice; R@12, R@12+X@12
    "restarts": {**zoo(3), "train_stage": 9},
    # two direct ones, and four recipes in two stages
    "inheriting": {**zoo(3), "train_stage": 2 + 4 * 2},
    # the student; none@24; X@24; X@12, twice; R@12, R@12+X@12
    "reduced_resolution": {**zoo(2), "take_trained": 1, "train_stage": 7},
    "htc_and_detectors": {**zoo(3), "train_stage": 6},
}
# Box AP on COCO as the metafiles of the model zoo state it.
AP = {
    "retinanet_r50": 36.5,
    "retinanet_r101_2x": 38.9,
    "retinanet_r101_3x": 41.0,
    "retinanet_x101-32x4d_2x": 40.1,
    "retinanet_x101-64x4d_1x": 41.0,
    "retinanet_x101-64x4d_3x": 41.6,
    "mask-rcnn_r50": 38.2,
    "mask-rcnn_swin-t": 46.0,
    "mask-rcnn_swin-s": 48.2,
    "cascade-mask-rcnn_r50-dcn": 44.4,
    "cascade-mask-rcnn_x101-32x4d-dcn": 47.3,
    "htc_r50_20e": 43.3,
    "detectors_htc-r50": 49.1,
    "reppoints_r50": 38.1,
    "reppoints_r101_2x": 40.5,
    "reppoints_x101-dcn_2x": 44.2,
}


def load(name):
    path = FOLDER / f"{name}.yaml"
    return load_experiment(with_includes(yaml.safe_load(path.read_text()), str(path), [FOLDER]))


def published():
    """The paper's results, by id."""
    with open(FOLDER / "results.csv", encoding="utf-8", newline="") as file:
        return {line["id"]: line for line in csv.DictReader(file)}


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """A folder with a few data at the places of COCO's."""
    folder = tmp_path_factory.mktemp("coco")
    for split in ("train2017", "val2017"):
        draw(folder / "data/coco", f"annotations/instances_{split}.json", split, ["1.jpg", "2.jpg"])
    return folder


def test_every_experiment_is_in_the_table_of_jobs():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {*JOBS, *PARTS}


@pytest.mark.parametrize("name", JOBS)
def test_it_plans_its_jobs(name, coco):
    said = dry_run(coco, FOLDER / f"{name}.yaml")
    assert jobs_of(said) == {**ALWAYS, **JOBS[name]}
    assert stages_of(said) == stages_of_plan(load(name))


def test_each_result_of_the_paper_has_the_arm_that_reproduces_it():
    found = {}
    for name in JOBS:
        experiment = load(name)
        for key, arm in rows.reproducing_arms(experiment).items():
            (student,) = rows.students(experiment, key)
            loss = experiment.recipes[arm.recipe].loss
            stages = chains.parse(arm.chain).stages
            found[arm.paper] = {
                "experiment": name,
                "student": student,
                "loss": loss.name if loss else "none",
                "teachers": " > ".join(teacher for stage in stages for teacher in stage.teachers),
                "epochs": "+".join(str(stage.epochs) for stage in stages),
            }
    expected = published()
    assert found.keys() == expected.keys()
    for key, arm in found.items():
        unknown = (
            {"teachers"} if expected[key]["arm"] != "baseline" and not expected[key]["teachers"] else set()
        )
        assert {k: v for k, v in arm.items() if k not in unknown} == {
            k: expected[key][k] for k in arm if k not in unknown
        }


@pytest.mark.parametrize("name", JOBS)
def test_the_arms_train_with_the_official_recipe(name):
    """And each progressive arm has a control with the same number of epochs."""
    experiment = load(name)
    for key, arm in experiment.arms.items():
        recipe = experiment.recipes[arm.recipe]
        two_stage = rows.students(experiment, key)[0].startswith("mask-rcnn")
        rate = 0.02 if two_stage else 0.01
        assert recipe.optimizer == {"type": "SGD", "lr": rate, "momentum": 0.9, "weight_decay": 1e-4}
        assert (recipe.clip_grad, recipe.batch_size, recipe.micro_batch_size) == (35, 16, 2)
        drops = {epochs: milestones(recipe.schedule.milestones, epochs) for epochs in (12, 24)}
        assert drops == {12: [8, 11], 24: [16, 22]}  # as mmdet's 1x and 2x
        assert recipe.loss is None or recipe.loss.options == {}
        if "progressive" in key:
            epochs = chains.parse(arm.chain).epochs
            assert epochs in [chains.parse(experiment.arms[control].chain).epochs for control in arm.against]


@pytest.mark.parametrize("name", JOBS)
def test_sequences_are_those_that_bgs_makes_of_costs_that_grow_with_the_distance_in_ap(name):
    experiment = load(name)
    for key, arm in experiment.arms.items():
        teachers = list(chains.parse(arm.chain).teachers) if arm.chain else []
        student = rows.students(experiment, key)[0].removesuffix("_half")
        if "progressive" not in key or not {student, *teachers} <= AP.keys():  # the AP of Swin is not known
            continue
        ap = {detector: AP[detector] for detector in (student, *teachers)}
        costs = {(a, b): abs(ap[a] - ap[b]) / 10 for a in ap for b in ap}
        assert backward_greedy_selection(student, ap, costs, 3)[0] == teachers, key


def test_an_arm_of_several_students_reproduces_no_result():
    path = FOLDER / "retinanet_convolutional.yaml"
    content = with_includes(yaml.safe_load(path.read_text()), str(path), [FOLDER])
    with pytest.raises(ConfigError, match=r"arms\.baseline\.paper: a result has one student"):
        load_experiment({**content, "students": ["retinanet_r50", "reppoints_r50"]})


def test_every_order_of_three_teachers_is_trained_with_shared_beginnings():
    experiment = load("order_of_teachers")
    names = ["retinanet_r50", *experiment.pools["three"]]
    costs = {(a, b): abs(AP[a] - AP[b]) / 10 for a in names for b in names}
    orders, _ = orders_by_policy("retinanet_r50", {name: AP[name] for name in names}, costs, 3)
    assert orders["bgs"] == [["retinanet_r101_2x", "retinanet_x101-32x4d_2x", "retinanet_x101-64x4d_3x"]]
    layout = Layout(experiment.experiment, experiment.dataset.name)
    found = rows.rows(experiment, layout, lambda student, pool: orders)
    assert len(found) == 1 + 1 + 6 + 1 + 1
    assert len(rows.stage_files(found, "student.pth")) == 2 + (3 + 6 + 6)


def test_experiments_share_the_stages_that_are_the_same():
    def folder(name):
        experiment = load(name)
        arm = {"progressive": experiment.arms["progressive"]}
        return rows.rows(experiment, Layout("any", experiment.dataset.name), None, arm)[0]["stages"]

    same = ("retinanet_convolutional", "sequence_or_at_once", "restarts", "inheriting")
    assert folder(same[0]) == folder(same[1]) == folder(same[2]) == folder(same[3])


def test_the_zoo_is_that_of_mmdets_metafiles():
    configs = Path(mmdet.__file__).parent / ".mim/configs"
    detectors = yaml.safe_load((FOLDER / "zoo.yaml").read_text())["detectors"]
    assert detectors.keys() == AP.keys()
    for name, detector in detectors.items():
        path = detector["config"].removeprefix("mmdet::")
        metafile = yaml.safe_load((configs / path).with_name("metafile.yml").read_text())
        (model,) = [model for model in metafile["Models"] if model["Config"] == f"configs/{path}"]
        assert (configs / path).exists()
        assert detector["url"] == model["Weights"]
        assert detector["url"].endswith(f"{detector['sha256']}.pth")
        (boxes,) = [result for result in model["Results"] if result["Task"] == "Object Detection"]
        assert boxes["Metrics"]["box AP"] == AP[name]
