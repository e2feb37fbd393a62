"""COCO's -1, which ``metrics.json`` has as -100: never a result of an arm, and by size a dash."""

import math
import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

from mtpd import files
from mtpd.experiment import policies, scores
from mtpd.report import comparison, page_plots, tables
from mtpd.report.findings import Findings

SCRIPTS = Path(__file__).parents[1] / "workflow/scripts"
NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl")
NOTHING_SCORED = r"metrics\.json, boxes: found AP -100; expected 0 to 100\..* no object that is scored"
ANALYSIS = {"classes": ["cell"], "class_ap": [None], "precision": [], "confusion": [], "images": {}}


def write(folder, kind="bbox", **changes):
    """A stage's or a detector's results; AP 10 of everything, but for the changes."""
    files.write_json(folder / "metrics.json", {"bbox": {**dict.fromkeys(NAMES, 10.0)}})
    content = files.read_json(folder / "metrics.json") | {kind: {**dict.fromkeys(NAMES, 10.0), **changes}}
    content |= {"dataset": "d", "annotations_sha256": "0", "images": 4, "versions": {}, "evaluator": "x"}
    files.write_json(folder / "metrics.json", {**content, "made_with": {}})
    files.write_json(folder / "analysis.json", ANALYSIS)
    files.write_text(folder / "history.csv", f"epoch,loss,AP\n1,2.0,\n2,1.0,{changes.get('AP', 10.0)}\n")
    return str(folder)


def row(folder, arm, seed, **changes):
    stage = {"chain": "none@2", "folder": write(folder / arm / f"seed{seed}", **changes)}
    stage["made_with"] = files.fingerprint({})
    return {
        "arm": arm,
        "student": "s",
        "recipe": "r",
        "chain": "none@2",
        "seed": seed,
        "stages": [stage],
    }


def nothing_scored(folder, arm, seed):
    return row(folder, arm, seed, **dict.fromkeys(NAMES, -100.0))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a script of the workflow, in this process and in the folder of the test."""
    monkeypatch.chdir(tmp_path)

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="__main__")

    return run


def test_an_ap_that_is_none_stops_every_reader(tmp_path):
    rows = [row(tmp_path, "a", 0), nothing_scored(tmp_path, "b", 0)]
    (_, wrong) = (Path(found["stages"][0]["folder"]) for found in rows)
    with pytest.raises(scores.NoResultError, match=rf"b/seed0/{NOTHING_SCORED}"):
        tables.seed_rows(rows)
    settings = {"detectors": {}, "shown": rows, "teachers": []}
    with pytest.raises(scores.NoResultError, match=NOTHING_SCORED):
        Findings.read(settings)
    write(wrong, "segm", AP=-100.0)
    with pytest.raises(scores.NoResultError, match=r"b/seed0/metrics\.json, masks: found AP -100;"):
        scores.read(wrong / "metrics.json")


@pytest.mark.parametrize("ap", [-100.0, -1.0, math.nan])
def test_teachers_without_an_ap_are_not_ordered(ap):
    costs = {(a, b): 0.1 for a in "stu" for b in "stu" if a != b}
    with pytest.raises(scores.NoResultError, match="u: found AP"):
        policies.orders_by_policy("s", {"s": 1.0, "t": 2.0, "u": ap}, costs, 2)


@pytest.mark.parametrize("script", ["tables", "comparison", "plot_stages", "paper"])
def test_no_table_or_plot_is_written(script, tmp_path, run):
    rows = [row(tmp_path, "a", 0), nothing_scored(tmp_path, "b", 0) | {"paper": "x"}]
    files.write_json(tmp_path / "rows.json", rows)
    (tmp_path / "complexity.csv").write_text("detector,params_m,gmacs,ms_per_image\nt,1,1,1\n")
    (tmp_path / "published.csv").write_text("id,experiment,metric,ap,epochs\nx,e,bbox,1.0,2\n")
    write(tmp_path / "t")
    detectors = ["--detectors", "t", "--detector-metrics", "t/metrics.json"]
    compared = ["--arms", "a", "--controls", "b"]
    written = ["--csv", "out/x.csv", "--md", "out/x.md", "--tex", "out/x.tex"]
    arguments = {
        "tables": ["--complexity", "complexity.csv", *detectors, *written, "--seeds", "out/seeds.csv"],
        "comparison": [*compared, *written, "--plots", "out/x.svg", "--title", "x"],
        "plot_stages": [*detectors, "--title", "x", "--epochs", "out/e.svg", "--arms", "out/a.svg"],
        "paper": ["--published", "published.csv", *written],
    }[script]
    with pytest.raises(scores.NoResultError, match=rf"b/seed0/{NOTHING_SCORED}"):
        run(script, "--rows", "rows.json", *arguments)
    assert not (tmp_path / "out").exists()


def test_costs_are_not_plotted_beside_an_ap_that_is_none(tmp_path, run):
    order = {"student": "s", "ap": {"s": 1.0, "t": -100.0}, "orders": {"bgs": [["t"]]}}
    files.write_json(tmp_path / "order.json", order)
    (tmp_path / "cost.csv").write_text("source,target,level,cost\ns,t,0,0.1\nt,s,0,0.1\n")
    with pytest.raises(scores.NoResultError, match=r"order\.json, t: found AP -100; expected 0 to 100"):
        run("plot_costs", "--costs", "cost.csv", "--order", "order.json", "--out", "x.svg")


def test_by_size_it_is_a_dash_in_means_too(tmp_path):
    """No object is large; small ones are found better with each seed."""
    sizes = [{"APs": 10.0 + 2 * seed, "APl": -100.0} for seed in (0, 1)]
    rows = [row(tmp_path, arm, seed, **sizes[seed]) for arm in "ab" for seed in (0, 1)]
    seeds = tables.seed_rows(rows)
    write(tmp_path / "s", **sizes[0])
    detectors = {"s": scores.read(tmp_path / "s/metrics.json")}
    complexity = pd.DataFrame({"params_m": 1.0, "gmacs": 1.0, "ms_per_image": 1.0}, index=["s"])
    table = tables.main_table(seeds, detectors, complexity)
    assert table["APs"].tolist() == [10.0, 11.0, 11.0]
    assert table["APl"].isna().all()
    assert "-100" not in tables.as_markdown(table) + tables.as_latex(table) + seeds.to_csv()
    assert tables.as_markdown(table).splitlines()[2].count(tables.NOTHING) == 4  # chain, seeds, interval, APl
    assert comparison.table(comparison.compare(seeds, [("a", "b")]))["difference"].tolist() == [0.0]


def test_by_size_it_is_left_out_of_the_differences_of_the_page(tmp_path):
    settings = {
        "detectors": {"s": write(tmp_path / "s", APl=-100.0)},
        "shown": [row(tmp_path, "a", 0, APs=12.5, APl=-100.0)],
    }
    findings = Findings.read(settings)
    figure = page_plots.changes(findings.ap_by_class(), findings.ap_by_size(), "s")
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["small objects", "medium objects"]
    assert [text.get_text() for text in axis.texts] == ["+2.5", "+0.0"]


def test_epochs_of_older_versions_that_scored_nothing_have_no_ap(tmp_path):
    found = tables.histories([nothing_scored(tmp_path, "a", 0)])
    assert found["AP"].isna().all()
