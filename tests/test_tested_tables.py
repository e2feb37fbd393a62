"""Tables with numbers of the test split beside those of the validation split, worked out by hand."""

import one_stage
import pandas as pd
import pytest

from mtpd import files
from mtpd.experiment import consistency
from mtpd.experiment.reading import load_experiment
from mtpd.report import comparison, page, provenance, tables

AP = {
    "arm": {"val": (30.0, 32.0), "test": (20.0, 19.0)},
    "control": {"val": (29.0, 30.0), "test": (21.0, 22.0)},
}

KEYS = ["arm", "student", "recipe", "chain", "seed", "kind"]


def test_files_of_a_test_split_have_to_be_there():
    split = {"annotations": "none.json", "images": "none"}
    content = one_stage.experiment(dict.fromkeys(("train", "val", "test"), split))
    missing = consistency.missing_data(load_experiment(content))
    assert "dataset.test.annotations: no such file or folder: none.json" in missing
    assert len(missing) == 6


def numbers(ap, annotations="0"):
    scores = dict.fromkeys(tables.METRICS, ap)
    return {"bbox": scores, "dataset": "d", "annotations_sha256": annotations, "made_with": {}}


@pytest.fixture
def rows(tmp_path):
    """Two arms of two seeds, each with two stages; only the last one is tested."""
    made = files.fingerprint({})
    found = []
    for arm, splits in AP.items():
        for seed in (0, 1):
            folders = [str(tmp_path / arm / str(seed) / name) for name in ("first", "last")]
            for folder in folders:
                files.write_json(f"{folder}/metrics.json", numbers(splits["val"][seed]))
            files.write_json(f"{folders[1]}/test_metrics.json", numbers(splits["test"][seed], "1"))
            stages = [{"chain": "a@1", "folder": folder, "made_with": made} for folder in folders]
            own = {"arm": arm, "student": "s", "recipe": arm, "chain": "a@1+b@1", "seed": seed}
            found.append({**own, "stages": stages, "tested_with": made})
    return found


def without_test(rows):
    return [{key: value for key, value in row.items() if key != "tested_with"} for row in rows]


def test_the_main_table_has_the_ap_of_both_splits(rows):
    seeds, tested = tables.seed_rows(rows), tables.tested_seed_rows(rows)
    val, test = ({"s": numbers(a), "t": numbers(b)} for a, b in ((10.0, 40.0), (60.0, 50.0)))
    complexity = pd.DataFrame({"params_m": 1.0, "gmacs": 1.0, "ms_per_image": 1.0}, index=["s", "t"])
    table = tables.main_table(seeds, val, complexity, (tested, test))
    assert table["row"].tolist() == ["t", "s", "arm", "control"]  # by AP of the validation split
    assert table["AP"].tolist() == [40.0, 10.0, 31.0, 29.5]
    assert table["test AP"].tolist() == [50.0, 60.0, 19.5, 21.5]
    # Of two values, the interval reaches 12.706 times half their distance to both sides.
    assert table["test ±95%"].tolist()[2:] == pytest.approx([12.7062 / 2] * 2, rel=1e-4)
    assert tables.beside(seeds, tested, KEYS)["test AP"].tolist() == [20.0, 19.0, 21.0, 22.0]
    assert r"test $\pm$95\%" in tables.as_latex(table)
    alone = tables.main_table(seeds, val, complexity)
    pd.testing.assert_frame_equal(alone, table.drop(columns=["test AP", "test ±95%"]))


def compared(rows):
    pairs = [("arm", "control")]
    on_test = tables.tested_seed_rows(rows)
    tested = None if on_test is None else comparison.compare(on_test, pairs)
    return comparison.table(comparison.compare(tables.seed_rows(rows), pairs), tested)


def test_differences_are_those_of_each_split(rows):
    table = compared(rows)
    found = table.iloc[0]
    assert (found["difference"], found["test difference"]) == (1.5, -2.0)
    half = 12.7062 / 2  # of 1 and 2; of -1 and -3, twice that
    assert found["95% low"] == pytest.approx(1.5 - half, rel=1e-4)
    assert found["test 95% low"] == pytest.approx(-2 - 2 * half, rel=1e-4)
    assert (found["test AP"], found["test control AP"]) == (19.5, 21.5)
    assert found["test verdict"] == "no difference shown"
    assert " -2.00 " in tables.as_markdown(table)
    first = [column for column in table if not column.startswith("test ")]
    pd.testing.assert_frame_equal(compared(without_test(rows)), table[first])


def test_the_page_says_of_which_split_a_verdict_is(rows):
    lines = page.verdicts(compared(rows).iloc[0], several_students=False)
    assert [line["text"].partition(" AP ")[0] for line in lines] == [
        "arm (a@1+b@1) against control (a@1+b@1), validation split: +1.5",
        "arm (a@1+b@1) against control (a@1+b@1), test split: -2.0",
    ]
    (line,) = page.verdicts(compared(without_test(rows)).iloc[0], several_students=False)
    assert line["text"].startswith("arm (a@1+b@1) against control (a@1+b@1): +1.5 AP")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"made_with": {"seed": 7}}, "other settings than this experiment's: .*arm/0/last/test_metrics.json"),
        ({"annotations_sha256": "2"}, "scored on other test annotations of d .*arm/0/last/test_metrics.json"),
    ],
)
def test_test_scores_that_do_not_belong_here_are_refused(change, said, rows):
    path = f"{rows[0]['stages'][-1]['folder']}/test_metrics.json"
    files.write_json(path, {**files.read_json(path), **change})
    tables.seed_rows(rows)
    with pytest.raises(provenance.MixedResultsError, match=said):
        tables.tested_seed_rows(rows)
