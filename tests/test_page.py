"""The report page: made by real Snakemake, and opened in a real browser."""

import json
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

import mmcv
import pandas as pd
import pytest
import yaml
from bad_files import save_turned
from data_folders import Folder
from snakes import TINY, snakemake

from mtpd import files, images
from mtpd.datasets import pictures as pictures_of_data
from mtpd.experiment import outputs
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import load_experiment
from mtpd.report import captions, imported_data, page, page_figures, pictures
from mtpd.report.findings import Findings

PROBE = """
<script>
addEventListener("load", () => {
  const table = document.querySelector("table.sortable");
  const column = [...table.querySelectorAll("th")].findIndex(th => th.textContent === "params (M)");
  const values = () => [...table.tBodies[0].rows].map(row => row.cells[column].textContent);
  table.querySelectorAll("th button")[column].click();
  const up = values();
  table.querySelectorAll("th button")[column].click();
  const seen = {
    up, down: values(), errors: window.errors,
    broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt),
    images: document.images.length,
    fetched: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")),
    beyond: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  };
  document.body.innerHTML = "<pre>" + JSON.stringify(seen) + "</pre>";
});
</script>
"""
ERRORS = '<script>window.errors = []; addEventListener("error", e => errors.push(e.message));</script>'


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory):
    """The tiny experiment with its page."""
    folder = tmp_path_factory.mktemp("page") / "tiny"
    shutil.copytree(finished, folder, symlinks=True)
    code, said = snakemake(folder, "--rerun-triggers", "mtime", "--", "reported")
    assert code == 0, said
    return folder / "results/tiny/report.html"


def test_the_page_has_the_numbers_of_the_tables_and_needs_no_other_file(report):
    text = report.read_text()
    table = pd.read_csv(report.parent / "tables/main.csv")
    for row, ap in zip(table["row"], table["AP"], strict=True):
        assert re.search(rf">{row}</td>.*>{ap:.1f}</td>", text), row
    assert text.count("no claim: one seed") == 3
    assert set(re.findall(r'(?:src|href)="([^#"]{1,5})', text)) == {"data:"}
    assert re.search("snakemake --cores all --configfile .*tiny.yaml -- all reported", text)
    assert 'id="data"' not in text  # its data are generated


@pytest.fixture
def dirty(tmp_path):
    """An import of a folder with changes of both kinds, whose names are no HTML."""
    data = Folder(tmp_path / "dirty")
    classes = ("<cell>", "plate")
    data.roboflow(data.splits(classes=classes), classes=classes)
    path = data.data / "train/_annotations.coco.json"
    content = files.read_json(path)
    content["annotations"] += [{**content["annotations"][0], "id": 700, "image_id": 88}]
    files.write_json(path, content)
    data.imported(allowed_share=0.5)
    pictures_of_data.of_import(data.out, data.data, data.out)
    return data


@pytest.fixture
def report_of_import(report, dirty, monkeypatch):
    """The page of the tiny experiment, as if its data were imported; without the figures of results."""
    for name in ("drawn_before", "drawn_here"):
        monkeypatch.setattr(page_figures, name, lambda *_: [])
    seen = {"kind": "pictures", "title": "", "caption": "", "source": "data:,"}
    monkeypatch.setattr(page_figures, "seen_by_each", lambda *_: seen)
    monkeypatch.chdir(report.parents[2])
    spec = files.read_json(next(Path().glob("logs/tiny/page-*.json")))
    imported = [dirty.out / name for name in ("import.json", "train_samples.jpg", "counts.png")]
    val = Path("results/few-shapes/data/val.json")
    return page.build(spec, report.parent.relative_to(Path.cwd()), val, Path(), [], imported)


def test_the_page_says_what_went_in(report_of_import, dirty):
    text = report_of_import
    assert re.search(r">train</td>\s*<td[^>]*>6</td>", text) and re.search(
        r">val</td>\s*<td[^>]*>4</td>", text
    )
    assert "&lt;cell&gt;</td>" in text and "<cell>" not in text
    assert re.search(r"left out</td>.*of images that are not listed</td>.*>1</td>.*image 88</td>", text)
    assert re.search(r"put right</td>.*ids of annotations</td>", text)
    assert text.count('src="data:image/jpeg') == text.count('src="data:image/png') == 1


def test_tables_of_the_data_have_the_numbers_of_the_import(dirty):
    found = imported_data.described(dirty.out / "import.json")
    assert found["splits"]["images"].tolist() == [6, 4, 3]
    for split in ("train", "val", "test"):
        assert (
            dict(zip(found["classes"]["class"], found["classes"][split], strict=True))
            == (dirty.report["splits"][split]["classes"])
        )
    told = found["changes"].set_index(["split", "what", "kind"])["number"].to_dict()
    for split, changes in dirty.report["changes"].items():
        for what, words in (("put_right", "put right"), ("left_out", "left out")):
            for kind, entry in changes[what].items():
                assert told.pop((split, words, kind)) == entry["count"]
    assert not told


def probe(text, folder):
    """What a browser sees of a page, in a narrow window."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    probed = folder / "probed.html"
    probed.write_text(
        text.replace("<head>", "<head>" + ERRORS).replace("</body>", PROBE + "</body>"), encoding="utf-8"
    )
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=400,800", "--dump-dom"]
    done = subprocess.run([*command, probed.as_uri()], capture_output=True, text=True)
    seen = json.loads(re.search(r"<pre>(.*)</pre>", done.stdout, re.DOTALL).group(1))
    assert seen["errors"] == seen["fetched"] == []
    assert seen["beyond"] == 0  # wide tables and figures scroll inside the page
    return seen


def test_a_browser_shows_the_pictures_of_the_data(report_of_import, tmp_path):
    seen = probe(report_of_import, tmp_path)
    assert seen["images"] == 3 and seen["broken"] == [""]  # the one that stands for all others


def test_a_browser_shows_every_figure_and_sorts_the_tables(report, tmp_path):
    seen = probe(report.read_text(), tmp_path)
    assert seen["broken"] == []
    assert seen["images"] == len(captions.OF_RESULTS) - 2  # no study of orders, nothing of the paper
    assert seen["up"] == sorted(seen["up"], key=float)
    assert seen["down"] == seen["up"][::-1]


def test_images_are_chosen_by_their_gain():
    """F1 by hand: image 1 from 0 to 1, image 2 from 1 to 0, images 3 and 4 stay."""
    after = {"1": [1, 0, 0], "2": [0, 1, 1], "3": [1, 1, 0], "4": [0, 0, 0]}
    before = {"1": [0, 0, 1], "2": [1, 0, 0], "3": [1, 1, 0], "4": [0, 0, 0]}
    chosen = pictures.choose(after, before, 1, seed=0)
    assert list(chosen)[:2] == ["1", "2"] and len(chosen) == 3
    assert chosen["1"] == "largest gain (+1.00 F1)" and chosen["2"] == "largest loss (-1.00 F1)"
    assert pictures.choose(after, before, 4, seed=0).keys() == after.keys()


def test_an_image_that_has_not_become_worse_is_no_loss():
    after, before = {str(i): [1, 0, 0] for i in range(6)}, {str(i): [0, 0, 1] for i in range(6)}
    reasons = list(pictures.choose(after, before, 1, seed=0).values())
    assert reasons == ["largest gain (+1.00 F1)", "at random (+1.00 F1)", "at random (+1.00 F1)"]
    assert set(pictures.choose(before, before, 1, seed=0).values()) == {"at random (+0.00 F1)"}


def test_a_picture_is_drawn_as_detectors_see_it(tmp_path):
    """Its file is 64 wide and 48 high, and says that it is to be turned by 90 degrees."""
    save_turned(tmp_path / "turned.jpg", (64, 48))
    annotations = {
        "images": [{"id": 1, "file_name": "turned.jpg"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 48, 64]}],
        "categories": [{"id": 1, "name": "cell"}],
    }
    path_of = partial(images.path_of, folder=tmp_path, beside=tmp_path)
    shown = pictures.draw({"1": "at random"}, annotations, path_of, {}).axes[0].images[0].get_array()
    assert shown.shape == mmcv.imread(tmp_path / "turned.jpg").shape == (64, 48, 3)


def test_an_image_on_which_only_one_detector_reports_something_can_be_chosen():
    """No object is on image 2: a false detection takes F1 from 1 to 0."""
    assert next(iter(pictures.choose({"1": [1, 0, 0], "2": [0, 1, 0]}, {"1": [1, 0, 0]}, 1, seed=0))) == "2"


def two_students():
    """The tiny experiment where the compared arm has another student than the others."""
    experiment = yaml.safe_load(TINY.read_text())
    experiment["students"] = ["student", "wide"]
    experiment["arms"]["progressive"]["students"] = ["wide"]
    return load_experiment(experiment)


def test_a_student_that_teaches_another_is_a_teacher():
    experiment = yaml.safe_load(TINY.read_text())
    experiment["students"] = ["student", "wide"]
    experiment["arms"] = {
        "taught": {"recipe": "pkd", "chain": "wide@1", "students": ["student"]},
        "alone": {"recipe": "alone", "chain": "none@1", "students": ["wide"]},
    }
    shown = outputs.report_page(load_experiment(experiment), Layout("tiny", "few-shapes"), [])
    assert (shown["students"], shown["teachers"]) == (["student", "wide"], ["wide"])


def test_one_row_of_each_arm_of_one_student_is_shown():
    experiment = two_students()
    rows = [
        {"arm": arm, "student": student, "seed": seed}
        for arm, student in (("direct", "student"), ("direct", "wide"), ("progressive", "wide"))
        for seed in (4, 5)
    ]
    assert list(outputs.shown_arms(experiment)) == ["direct", "no-teacher", "progressive"]
    assert outputs.first_rows(experiment, rows) == [
        {"arm": "direct", "student": "wide", "seed": 4},
        {"arm": "progressive", "student": "wide", "seed": 4},
    ]


def test_arms_named_like_detectors_stay_apart():
    shown = [
        {"arm": "swin", "student": "s", "stages": [{}]},
        {"arm": "other", "student": "s", "stages": [{}, {}]},
    ]
    found = Findings({"detectors": {"s": "", "swin": ""}, "shown": shown}, {}, {}, {})
    assert found.ends == {"arm swin": "swin, stage 1", "other": "other, stage 2"}
    assert (found.student, found.arm) == ("s", "other")


def test_the_best_control_and_the_strongest_teacher_have_the_highest_ap():
    stage = [{"folder": ""}]
    shown = [{"arm": arm, "student": "s", "stages": stage} for arm in ("low", "high", "middle", "compared")]
    ap = {"low, stage 1": 1, "high, stage 1": 3, "middle, stage 1": 2, "compared, stage 1": 9}
    ap |= {"t": 5, "u": 7, "v": 6}
    settings = {"detectors": {}, "teachers": ["t", "u", "v"], "shown": shown}
    found = Findings(settings, {}, {name: {"bbox": {"AP": value}} for name, value in ap.items()}, {})
    assert (found.arm, found.best_control, found.strongest) == ("compared", "high", "u")


def test_a_verdict_names_what_it_is_of():
    row = {"student": "s", "kind": "segm", "arm": "a", "chain": "x@1", "control": "b", "control chain": "y@1"}
    row |= {"seeds": 3, "difference": 1.25, "95% low": 0.5, "95% high": 2.0, "verdict": "better"}
    text = page.verdict(pd.Series(row), several_students=True)["text"]
    assert text == "s: a (x@1) against b (y@1), masks: +1.2 AP (95% interval +0.5 to +2.0, 3 seeds)"
