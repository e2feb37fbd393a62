"""The whole graph, by real Snakemake: from nothing to table and plots, and what it does when asked again."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import PROJECT
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from snakes import TINY, changed, checked, planned, snakemake

from mtpd import files

REPORT = {"write_tables": 1, "plot_stages": 1, "write_comparison": 1}
RESULTS = (
    *(f"tables/{name}.{kind}" for name in ("main", "comparison") for kind in ("csv", "md", "tex")),
    *(
        f"plots/{name}.{kind}"
        for name in ("ap_over_epochs", "arms", "comparison", "adaptation_cost_student+both")
        for kind in ("svg", "pdf", "png", "csv")
    ),
)


def test_tables_and_plots_are_there(finished):
    for name in RESULTS:
        assert (finished / "results/tiny" / name).stat().st_size > 100, name
    table = pd.read_csv(finished / "results/tiny/tables/main.csv")
    assert set(table["role"]) == {"teacher", "student", "arm"}
    arms = table[table["role"] == "arm"]
    assert arms["row"].tolist() == ["no-teacher", "direct", "progressive"]
    assert arms["chain"].iloc[2] == "swin@1+wide@1"
    assert (table[["params (M)", "GMACs", "ms/image"]] > 0).all(axis=None)
    seeds = pd.read_csv(finished / "results/tiny/tables/seeds.csv")
    assert seeds[["arm", "chain"]].values.tolist() == arms[["row", "chain"]].values.tolist()
    assert seeds["AP"].tolist() == pytest.approx(arms["AP"].tolist())  # the tiny experiment has one seed


def test_arms_are_compared_with_their_controls(finished):
    table = pd.read_csv(finished / "results/tiny/tables/comparison.csv")
    main = pd.read_csv(finished / "results/tiny/tables/main.csv").set_index("row")["AP"]
    pairs = [("direct", "no-teacher"), ("progressive", "direct"), ("progressive", "no-teacher")]
    assert list(zip(table["arm"], table["control"], strict=True)) == pairs
    assert table["difference"].tolist() == pytest.approx(
        [main[arm] - main[control] for arm, control in pairs]
    )
    one_seed, longer = "one seed: no interval", " (2 against 1 epochs)"
    assert table["verdict"].tolist() == [one_seed + longer, one_seed, one_seed + longer]


def test_trained_orders_are_ranked(finished, tmp_path):
    """The results of the two stages that are not trained in the tiny experiment are made up."""
    folder = tmp_path / "ranked"
    shutil.copytree(finished, folder, symlinks=True)
    stages = folder / "results/few-shapes/students/student/pkd"
    for chain in ("wide@1", "wide@1+swin@1"):
        shutil.copytree(stages / "swin@1+wide@1", stages / chain)
    arm = {"recipe": "pkd", "policy": "pairs", "pool": "both", "epochs": 2}
    path = changed(folder, "pairs", lambda e: e["arms"].update(pairs=arm))
    tables, plots = (folder / f"results/tiny/{name}" for name in ("tables", "plots"))
    target = str((plots / "orders_student+both.svg").relative_to(folder))
    options = ("--rerun-triggers", "mtime", "--forcerun", "list_rows", "--", target)
    code, said = snakemake(folder, *options, config=checked(folder, path))
    assert code == 0, said
    ranked = pd.read_csv(tables / "orders_student+both.csv")
    assert sorted(ranked["chain"]) == ["swin@1+wide@1", "wide@1+swin@1"]
    assert "min-sum" in (tables / "orders_student+both.md").read_text()
    assert (plots / "orders_student+both.png").stat().st_size > 100
    assert (plots / "orders_student+both.pdf").read_bytes().startswith(b"%PDF")
    pd.testing.assert_frame_equal(pd.read_csv(plots / "orders_student+both.csv"), ranked)


def test_the_terminal_has_a_line_when_a_job_starts_and_one_when_it_ends(finished):
    """And the progress of the stages between them; the log of the run has the files of the jobs."""
    said = (finished / "said").read_text()
    stage = "stage 2 after swin@1: student with wide, 1 epoch, pkd, seed 0"
    numbers = r"loss \d+\.\d+ \(detection \d+\.\d+, distillation \d+\.\d+\)"
    own, now = r"student/pkd/swin@1\+wide@1/seed0", r"\d\d:\d\d:\d\d"
    lines = [
        f"{now} start: {stage}",
        f"{own}: epoch 1/1  {numbers}  0 s left",
        rf"{own}: AP \d+\.\d after epoch 1",
        rf"{now} done:  {stage}, in \d+ (s|min) \(\d+ of \d+ jobs\)",
    ]
    assert re.search("^" + r"\n(.*\n)*".join(lines) + "$", said, re.MULTILINE)
    for line in (" start: stage ", " done:  stage ", "seed0: epoch 1/"):
        assert said.count(line) == 6, line
    assert re.search(rf"^{now} time left: .*; only stages are counted$", said, re.MULTILINE)
    assert "wildcards" not in said and "Select jobs" not in said
    log = re.search(r"^Complete log\(s\): (.*)$", said, re.MULTILINE)[1]
    assert "wildcards: dataset=few-shapes, student=student, recipe=pkd" in Path(log).read_text(
        encoding="utf-8"
    )


def test_every_metric_is_what_pycocotools_says_of_the_predictions(finished):
    found = sorted((finished / "results/few-shapes").rglob("metrics.json"))
    assert len(found) == 3 + 3 + 3  # detectors, their stages, and the distilled ones
    scored = 0
    for path in found:
        metrics = json.loads(path.read_text())
        predictions = json.loads(path.with_name("predictions.json").read_text())
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(finished / metrics["annotations"]))
            if not predictions:
                continue
            evaluation = COCOeval(truth, truth.loadRes(predictions), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        assert list(metrics["bbox"].values()) == [100 * value for value in evaluation.stats], path
        scored += 1
    assert scored > 0


def test_the_student_works_in_stock_mmdet_without_this_project(finished, tmp_path):
    """Its predictions there are those that were scored here."""
    folder = finished / "results/few-shapes/students/student/pkd/swin@1+wide@1/seed0"
    val = (finished / "results/few-shapes/data/val.json", finished / "results/few-shapes/data/val")
    (tmp_path / "mtpd.py").write_text("raise ImportError('this project was imported')")
    done = subprocess.run(
        [sys.executable, PROJECT / "tests/data/stock_mmdet.py", folder / "student.pth", *val],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    expected = json.loads((folder / "predictions.json").read_text())
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(expected, found, strict=True):
        assert (ours["image_id"], ours["category_id"]) == (theirs["image_id"], theirs["category_id"])
        assert ours["bbox"] == pytest.approx(theirs["bbox"], abs=1e-3)
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-5)


def test_the_order_is_explained(finished):
    order = json.loads((finished / "results/few-shapes/order/student/both/order.json").read_text())
    costs = pd.read_csv(finished / "results/few-shapes/order/student/both/cost.csv")
    assert set(order["ap"]) == {"student", "swin", "wide"}
    assert set(order["why"]) == {"bgs", "min-max", "min-sum"}
    assert len(costs) == 6 * 3
    assert (costs["cost"] > 0).all()


def test_a_finished_experiment_has_nothing_to_do(finished):
    assert "Nothing to be done" in snakemake(finished, "-n")[1]


def test_another_seed_plans_its_own_stages_only(finished):
    path = changed(finished, "seeds", lambda e: e.update(seeds=[0, 1]))
    assert planned(finished, path) == {"train_stage": 4, "list_rows": 1, **REPORT}


def test_another_arm_plans_only_what_no_other_arm_has_trained(finished):
    arm = {"recipe": "pkd", "chain": "swin@1+swin@1"}
    path = changed(finished, "arms", lambda e: e["arms"].update(repeated=arm))
    assert planned(finished, path) == {"train_stage": 1, "list_rows": 1, **REPORT}


def test_a_changed_recipe_replans_what_depends_on_it(finished):
    path = changed(finished, "recipe", lambda e: e["recipes"]["pkd"]["loss"]["options"].update(weight=5))
    assert planned(finished, path) == {"train_stage": 3, "list_rows": 1, **REPORT}


def test_more_compute_replans_nothing(finished):
    path = changed(finished, "compute", lambda e: e.update(compute={"threads": 2, "mem_mb": 8000}))
    assert "Nothing to be done" in snakemake(finished, "-n", config=path)[1]


def test_a_mistake_stops_before_any_job(finished):
    path = changed(finished, "mistake", lambda e: e["arms"]["direct"].update(polcy="bgs"))
    code, said = snakemake(finished, config=path)
    assert code != 0
    assert "arms.direct.polcy: unknown key; did you mean 'policy'?" in said


def test_the_slurm_profile_plans_the_demo():
    done = subprocess.run(
        ["snakemake", "-n", "--cores", "all", "--profile", "slurm"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_reading_the_snakefile_imports_neither_torch_nor_mmdet(finished, tmp_path):
    """A torch that cannot be imported stands before the real one."""
    for name in ("torch", "mmdet", "mmengine", "mmcv"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} was imported')")
    done = subprocess.run(
        ["snakemake", "-s", PROJECT / "Snakefile", "-d", finished, "-n", "--configfile", TINY],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_teachers_come_from_files_and_urls(finished, tmp_path):
    """A file, a URL with its hash, and a URL whose file is another; what they score is measured again."""
    given = {name: finished / f"results/few-shapes/detectors/{name}" for name in ("swin", "wide")}
    (tmp_path / "config").symlink_to(PROJECT / "config")

    def given_teachers(experiment):
        for detector in experiment["detectors"].values():
            detector["config"] = str(PROJECT / detector["config"])
        swin, wide = (experiment["detectors"][name] for name in given)
        del swin["train"], wide["train"]
        swin["file"] = str(given["swin"] / "weights.pth")
        wide["url"] = (given["wide"] / "weights.pth").as_uri()
        wide["sha256"] = files.sha256(given["wide"] / "weights.pth")
        experiment["detectors"]["forged"] = {**wide, "sha256": "0123456789abcdef"}

    config = changed(tmp_path, "given", given_teachers)
    scores = [f"results/few-shapes/detectors/{name}/metrics.json" for name in (*given, "forged")]
    code, said = snakemake(tmp_path, "--keep-going", *scores, config=config)
    assert code != 0
    assert (
        "expected 0123456789abcdef: not the expected file"
        in (tmp_path / "logs/few-shapes/detectors/forged/download.log").read_text()
    )
    assert not (tmp_path / "results/few-shapes/detectors/forged/weights.pth").exists()
    for name, folder in given.items():
        found = json.loads((tmp_path / f"results/few-shapes/detectors/{name}/metrics.json").read_text())
        assert found == json.loads((folder / "metrics.json").read_text()), said
