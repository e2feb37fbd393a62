"""The paper's results beside ours, against numbers worked out by hand."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from conftest import PROJECT
from snakes import changed, snakemake

from mtpd import files
from mtpd.report import paper

PUBLISHED = """id,experiment,student,loss,arm,teachers,epochs,metric,ap,source
alone,one,small,none,baseline,,12,bbox,30.0,abstract
both,two,masks,mgd,progressive,a > b,12+12,bbox,42.5,README
both,two,masks,mgd,progressive,a > b,12+12,segm,38.2,README
open,three,small,cwd,direct,,24,bbox,39.8,figure
"""
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the paper's results, in which results are written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "published.csv").write_text(PUBLISHED)
    return tmp_path


def run(folder, result, chain, seed, student="small", dataset="coco2017", images=5000, **ap):
    """A row of rows.json that reproduces a result, and the metrics of its last stage."""
    stage = folder / f"results/{dataset}/students/{student}/mgd/{chain}/seed{seed}"
    row = {"arm": "an-arm", "student": student, "recipe": "mgd", "chain": chain, "seed": seed}
    made = {"chain": chain, "folder": str(stage.relative_to(folder)), "made_with": files.fingerprint({})}
    row |= {"stages": [made]}
    if ap:
        stage.mkdir(parents=True, exist_ok=True)
        metrics = {kind: dict.fromkeys(METRICS, value) for kind, value in ap.items()}
        metrics |= {"dataset": dataset, "images": images, "annotations_sha256": "0", "made_with": {}}
        files.write_json(stage / "metrics.json", metrics)
    return {**row, "paper": result} if result else row


def table(rows):
    return paper.table(paper.read_published("published.csv"), paper.finished(rows))


def test_without_results_of_ours_all_of_the_papers_are_listed(folder):
    found = table([])
    assert found["paper's AP"].tolist() == [30.0, 42.5, 38.2, 39.8]
    assert found["epochs"].tolist() == ["12", "12+12", "12+12", "24"]
    assert found[["AP", "difference", "seeds", "full scale"]].isna().all(axis=None)


def test_the_mean_over_seeds_is_compared(folder):
    """31 and 33: mean 32; standard deviation 1.414; half width 12.706 * 1.414 / sqrt(2) = 12.706."""
    found = table([run(folder, "alone", "none@12", seed, bbox=31.0 + 2 * seed) for seed in (0, 1)])
    row = found.iloc[0]
    assert (row["AP"], row["difference"], row["seeds"], row["full scale"]) == (32.0, 2.0, 2, "yes")
    assert row["±95%"] == pytest.approx(12.706, abs=1e-3)
    assert found["AP"].isna().tolist() == [False, True, True, True]


def test_boxes_and_masks_are_rows_of_their_own(folder):
    found = table([run(folder, "both", "a@12+b@12", 0, "masks", bbox=42.0, segm=38.5)])
    assert found["AP"].dropna().tolist() == [42.0, 38.5]
    assert found["difference"].dropna().tolist() == pytest.approx([-0.5, 0.3])
    assert found["±95%"].isna().all()  # one seed


@pytest.mark.parametrize(
    ("change", "scale"),
    [({}, "yes"), ({"dataset": "other"}, "no"), ({"images": 50}, "no"), ({"chain": "none@1"}, "no")],
)
def test_other_data_or_epochs_are_not_full_scale(change, scale, folder):
    found = table([run(folder, "alone", **{"chain": "none@12", "seed": 0, "bbox": 31.0, **change})])
    assert found["full scale"].dropna().tolist() == [scale]


@pytest.mark.parametrize(
    ("chain", "scale"), [("a@12+b@12", "yes"), ("b@12+a@12", "no"), ("none@12+none@12", "no")]
)
def test_other_teachers_than_the_papers_are_not_full_scale(chain, scale, folder):
    found = table([run(folder, "both", chain, 0, bbox=42.0, segm=38.0)])
    assert set(found["full scale"].dropna()) == {scale}


def test_runs_of_one_result_can_be_told_apart(folder):
    runs = [run(folder, "alone", "none@12", 0, dataset=name, bbox=31.0) for name in ("coco2017", "other")]
    found = table(runs)
    assert found[found["id"] == "alone"]["data"].tolist() == ["coco2017 (5000)", "other (5000)"]


def test_a_rehearsal_is_a_row_beside_the_full_run(folder):
    rows = [run(folder, "alone", "none@12", 0, bbox=31.0), run(folder, "alone", "none@1", 0, bbox=3.0)]
    found = table(rows)
    assert found[found["id"] == "alone"]["AP"].tolist() == [31.0, 3.0]
    assert found[found["id"] == "alone"]["full scale"].tolist() == ["yes", "no"]


def test_the_student_may_have_another_name_here(folder):
    assert table([run(folder, "alone", "none@12", 0, "mine", bbox=31.0)])["AP"].dropna().tolist() == [31.0]


def test_runs_on_different_data_are_not_averaged(folder):
    rows = [
        run(folder, "alone", "none@12", 0, dataset=name, bbox=ap) for name, ap in (("x", 1.0), ("y", 3.0))
    ]
    assert table(rows)["AP"].dropna().tolist() == [1.0, 3.0]


def test_a_stage_of_two_experiments_counts_once(folder):
    found = table([run(folder, "alone", "none@12", 0, bbox=31.0) for _ in range(2)])
    assert found["seeds"].dropna().tolist() == [1]


def test_rows_that_are_not_scored_or_reproduce_nothing_are_left_out(folder):
    found = table([run(folder, "alone", "none@12", 0), run(folder, None, "none@24", 0, bbox=31.0)])
    assert found["AP"].isna().all()


def test_what_has_not_run_at_full_scale_is_missing(folder):
    rows = [run(folder, "alone", "none@12", 0, bbox=31.0), run(folder, "open", "a@1", 0, bbox=3.0)]
    assert paper.missing(paper.read_published("published.csv"), table(rows)) == {
        "two": ["both"],
        "three": ["open"],
    }


def test_the_script_gathers_experiments(folder):
    """As `make paper` calls it; and, with --ids, as an experiment does."""
    rows = {
        "one": [run(folder, "alone", "none@12", 0, bbox=31.0)],
        "two": [run(folder, None, "none@24", 0, bbox=9.0)],
    }
    for name, content in rows.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    command = [sys.executable, PROJECT / "workflow/scripts/paper.py", "--published", "published.csv"]
    command += ["--rows", "one.json", "two.json", "--csv", "out/p.csv", "--md", "out/p.md"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.splitlines() == [
        "not run at full scale: config/paper/two.yaml: both",
        "not run at full scale: config/paper/three.yaml: open",
    ]
    assert pd.read_csv("out/p.csv")["AP"].dropna().tolist() == [31.0]
    assert "| 39.8" in (folder / "out/p.md").read_text()
    subprocess.run([*command, "--tex", "out/p.tex", "--ids", "alone"], check=True, capture_output=True)
    assert pd.read_csv("out/p.csv")["id"].tolist() == ["alone"]
    assert "alone" in (folder / "out/p.tex").read_text()


def test_an_experiment_writes_its_own_table_and_plot(finished, tmp_path):
    """By real Snakemake; the tiny experiment is not at full scale."""
    place = shutil.copytree(finished, tmp_path / "tiny", symlinks=True)
    result = "retinanet_r50-mgd-convolutional"
    config = changed(place, "paper", lambda e: e["arms"]["progressive"].update(paper=result))
    target, plot = "results/tiny/tables/paper.csv", "results/tiny/plots/paper.svg"
    options = ("--rerun-triggers", "mtime", "--forcerun", "list_rows", "--", target, plot)
    code, said = snakemake(place, *options, config=config)
    assert code == 0, said
    (row,) = pd.read_csv(place / target).to_dict("records")
    stage = place / "results/few-shapes/students/student/pkd/swin@1+wide@1/seed0"
    own = json.loads((stage / "metrics.json").read_text())["bbox"]["AP"]
    assert (row["id"], row["paper's AP"]) == (result, 41.7)
    assert (row["AP"], row["seeds"], row["full scale"]) == (pytest.approx(own), 1, "no")
    assert f"<!-- {own:.1f} -->" in (place / plot).read_text()
    said = (place / "logs/tiny/tables/paper.log").read_text()
    assert f"not run at full scale: config/paper/retinanet_convolutional.yaml: {result}" in said
