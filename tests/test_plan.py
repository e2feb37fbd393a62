"""What an experiment costs, against numbers computed by hand: 100 images, 1 s alone, 2 s with a teacher."""

import os
import subprocess
import sys
from collections import Counter

import pytest
from conftest import PROJECT
from test_experiment import small

from mtpd import files
from mtpd.data import coco
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import load_experiment
from mtpd.plan import estimate, estimate_text, graph, makespan, speeds
from mtpd.plan.speeds import Speed

LAYOUT = Layout("demo", "shapes")
STUDENT, TEACHERS = "r18w8", ("r18w16", "r18w32", "swin32")
ALONE = {(name, ()): Speed(1.0) for name in (STUDENT, *TEACHERS)}
WITH = {(STUDENT, (name,)): Speed(2.0, 1000.0 + 10 * i) for i, name in enumerate(TEACHERS)}
ORDERS = {"bgs": [["r18w16", "swin32"]], "reverse": [["swin32", "r18w16"]], "strongest": [["swin32"]]}


def planned(orders=None, measured=ALONE | WITH, **changes):
    """``small``: a student (4 epochs), teachers (6, 6, 8), two arms alone (4, 8), three with a policy (8)."""
    experiment = load_experiment({**small(), **changes})
    return estimate.plan(experiment, LAYOUT, lambda student, pool: orders, 100, measured, {STUDENT: 2.0**30})


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def finished(chain, recipe="pkd", seconds=None):
    folder = files.Path(LAYOUT.stage(STUDENT, recipe, chain, 0))
    folder.mkdir(parents=True)
    (folder / "student.pth").touch()
    (folder / "metrics.json").touch()
    if seconds:
        (folder / "benchmark.tsv").write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0\t700.5\n")


def test_stages_are_counted_once():
    """Detectors: 4. no-teacher is the student's own training. direct 8 epochs, two arms of 4 and 4."""
    found = planned(ORDERS)
    assert len(found.nodes) == 4 + 1 + 1 + 2 + 2
    assert [node.users for node in found.shared] == [["detector r18w8", "no-teacher"]]
    alone, distilled = 4 + 6 + 6 + 8 + 8, 8 + 4 + 4 + 4 + 4
    assert found.gpu_hours() == pytest.approx((alone * 100 + distilled * 200) / 3600)
    assert found.unknown == found.unmeasured == []
    assert found.disk_bytes() == (7 * 2.0**30, ["r18w16", "r18w32", "swin32"])


def test_the_longest_way_and_the_time_on_gpus():
    """swin32 takes 800 s; then reverse takes twice 800 s, direct 1600 s, progressive starts after r18w16."""
    found = planned(ORDERS)
    assert [(node.student, node.chain) for node in found.critical_path()] in (
        [("swin32", "none@8"), (STUDENT, "swin32@8")],
        [("swin32", "none@8"), (STUDENT, "swin32@4"), (STUDENT, "swin32@4+r18w16@4")],
    )
    assert found.hours_on(1) == pytest.approx(found.gpu_hours())
    assert found.hours_on(100) == pytest.approx(2400 / 3600)
    one_image = {name: {**recipe, "micro_batch_size": 1} for name, recipe in small()["recipes"].items()}
    two = planned(ORDERS, compute={"gpus": 2}, recipes=one_image)
    assert two.hours_on(1) is None
    assert two.hours_on(2) == two.hours_on(3) == pytest.approx(found.hours_on(1))
    assert two.gpu_hours() == pytest.approx(2 * found.gpu_hours())


def test_list_scheduling_on_two_places():
    """a (3) and b (2) start; c (2, after b) at 2, d (1) at 3; all are done at 4."""
    seconds = {"a": 3.0, "b": 2.0, "c": 2.0, "d": 1.0}
    waits_for = {"a": set(), "b": {"done"}, "c": {"b"}, "d": set()}
    assert [makespan.makespan(seconds, waits_for, n) for n in (1, 2, 3)] == [8, 4, 4]
    assert makespan.longest_path(seconds, waits_for) == ["b", "c"]
    assert makespan.makespan({}, {}, 2) == 0 and makespan.longest_path({}, {}) == []


def test_finished_stages_are_not_trained_again():
    finished("swin32@8")
    finished("none@8", "alone")
    found = planned(ORDERS)
    assert len(found.done) == 2
    assert found.gpu_hours() == pytest.approx(((4 + 6 + 6 + 8) * 100 + 16 * 200) / 3600)


def test_what_is_left_to_write_counts_only_this_experiments_results():
    finished("swin32@8")
    finished("swin32@99")  # of another experiment on the same data
    left = Counter(node.student for node in graph.to_train(planned(ORDERS).nodes.values()))
    assert left == {"r18w16": 1, "r18w32": 1, "swin32": 1, STUDENT: 6}


def test_unknown_speeds_are_said_to_be_unknown():
    measured = {key: value for key, value in (ALONE | WITH).items() if key != (STUDENT, ("swin32",))}
    found = planned(ORDERS, measured)
    assert found.unmeasured == ["r18w8 with swin32"]
    assert len(found.unknown) == 3
    page = estimate_text.text(found, [])
    assert "of 3 stages unknown" in page
    assert "Not measured yet: r18w8 with swin32." in page
    assert "- hours of jobs on the CPU: unknown" in estimate_text.text(planned(ORDERS, {}), [])


def test_arms_of_other_lengths_than_their_control_are_named():
    arms = {
        "short": {"recipe": "pkd", "chain": "swin32@4"},
        "long": {"recipe": "pkd", "chain": "r18w16@4+swin32@2", "against": ["short"]},
    }
    said = estimate_text.text(planned(arms=arms), [])
    assert "- `long` has 6 epochs, and its control `short` 4: their comparison says little" in said
    arms["long"]["chain"] = "r18w16@2+swin32@2"
    assert "says little" not in estimate_text.text(planned(arms=arms), [])


def test_disk_is_not_said_to_be_nothing_where_it_is_not_known():
    found = planned(ORDERS)
    assert "stages to train: up to 7.0 GiB. Not counted: stages of r18w16, " in estimate_text.text(found, [])
    found.bytes_of_stage = {}
    assert "stages to train: unknown. Not counted: stages of r18w16, " in estimate_text.text(found, [])


def test_orders_that_are_not_known_give_an_upper_bound():
    """Two stages for bgs and reverse (max_teachers), one for strongest, each with the slowest teacher."""
    slow = {(STUDENT, ("r18w32",)): Speed(5.0)}
    found = planned(None, ALONE | WITH | slow)
    open_stages = [node for node in found.to_train if not node.known]
    assert len(open_stages) == 1 + 2 + 2
    assert found.seconds(open_stages[0]) == 8 * 100 * 5
    teachers = {
        LAYOUT.stage(name, "alone", f"none@{n}", 0) for name, n in zip(TEACHERS, (6, 6, 8), strict=True)
    }
    assert teachers < open_stages[0].waits_for  # the order waits for all of the pool
    assert "there may be fewer stages than that: the teachers of 5 of them" in estimate_text.text(found, [])
    assert planned(None, ALONE).unmeasured == [f"r18w8 with {name}" for name in TEACHERS]


def test_many_orders_share_their_first_stages():
    arms = {"pairs": {"recipe": "pkd", "policy": "pairs", "pool": "all", "epochs": 4}}
    assert len(planned(None, arms=arms).nodes) == 4 + 3 + 6


def test_speeds_come_from_finished_stages_and_from_a_table(tmp_path):
    finished("swin32@4", seconds=800)
    finished("swin32@4+r18w16@4", seconds=100)
    jobs = files.Path(LAYOUT.stage(STUDENT, "pkd", "swin32@4+r18w16@4", 0), "jobs.json")
    files.write_json(
        jobs, {"earlier_jobs": 2, "seconds_of_earlier_jobs": 300.0}
    )  # the benchmark knows the last
    found = speeds.of_finished_stages("shapes", 100)
    assert found == {(STUDENT, ("swin32",)): Speed(2, 700.5), (STUDENT, ("r18w16",)): Speed(1, 700.5)}
    path = tmp_path / "speeds.csv"
    path.write_text("student,teachers,seconds_per_image,peak_mb\na,none,0.5,\na,y~x,1,900\n")
    assert speeds.read(path) == {("a", ()): Speed(0.5), ("a", ("x", "y")): Speed(1, 900)}
    for line, words in (
        ("a,none", "missing: seconds_per_image"),
        ("a,none,fast", "fast"),
        ("a,none,0", "above 0"),
    ):
        path.write_text(f"student,teachers,seconds_per_image\n{line}\n")
        with pytest.raises(ConfigError, match=words):
            speeds.read(path)


def test_data_to_download_are_counted_until_they_are_there():
    sizes = {"data/annotations": 5 * 10**8, "data/train": 2 * 10**9, "data/other": 10**9}
    archive = {"sha256": "01234567", "files": 3}
    dataset = {
        "name": "shapes",
        "train": {"annotations": "data/annotations/train.json", "images": "data/train"},
        "val": {"annotations": "data/annotations/val.json", "images": "else/val"},
        "download": {
            folder: {**archive, "url": f"http://h/{folder}.zip", "bytes": size}
            for folder, size in sizes.items()
        },
    }
    experiment = load_experiment({**small(), "dataset": dataset})

    def page():
        return estimate_text.text(planned(ORDERS), estimate.sources(experiment, LAYOUT))

    assert "| data | http://h/data/train.zip | 2.0 | no |" in page()
    assert "To download, as far as sizes are known: 2.5 GB." in page()
    assert "data/other" not in page()  # the experiment names nothing in it
    files.write_text("data/train/1.jpg", "an image")
    assert "| data | http://h/data/train.zip | 2.0 | yes |" in page()
    assert "To download, as far as sizes are known: 0.5 GB." in page()


def test_images_are_counted_without_parsing(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(
        path, {"images": [{"id": i, "file_name": f"{i}.png"} for i in range(7)], "annotations": []}
    )
    assert coco.count_listed(path) == 7
    path.write_bytes(b"")
    assert coco.count_listed(path) == 0


def test_the_script_prints_a_plan_without_torch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')")
    table = tmp_path / "speeds.csv"
    table.write_text("student,teachers,seconds_per_image\nr18w4,none,0.01\n")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{PROJECT / 'src'}"}
    script = [sys.executable, PROJECT / "workflow/scripts/plan.py"]
    options = ["--speeds", table, "--gpus", "3", "--out", "plan.md"]
    done = subprocess.run(
        [*script, PROJECT / "config/config.yaml", *options], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "plan.md").read_text()
    assert "| 3 | at least" in done.stdout
    assert "| swin32 |" in done.stdout and "config/zoo/swin32.pth |  | yes |" in done.stdout
    paper = [*script, PROJECT / "config/paper/retinanet_convolutional.yaml"]  # whose data are not here
    done = subprocess.run(paper, env=env, capture_output=True, text=True)
    assert "- training images: 118287" in done.stdout, done.stderr
