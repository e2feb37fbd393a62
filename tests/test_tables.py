"""The main table, against numbers worked out by hand."""

import json

import pandas as pd
import pytest

from mtpd import files
from mtpd.report import tables

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl")
AP = {"zebra": (10.0, 11.0, 15.0), "ant": (30.0, 30.0, 30.0)}  # by arm; the mean is not the median


def scores(ap):
    return dict(zip(NAMES, (ap, 2 * ap, ap, ap, ap, ap), strict=True))


@pytest.fixture
def seeds(tmp_path):
    """Three seeds of two arms; their first stages reached 1 AP."""
    rows = []
    for arm, values in AP.items():
        for seed, ap in enumerate(values):
            folders = [str(tmp_path / arm / str(seed) / str(stage)) for stage in (1, 2)]
            stages = [{"folder": folder, "made_with": files.fingerprint({})} for folder in folders]
            same = {"dataset": "d", "annotations_sha256": "0", "made_with": {}}
            for folder, value in zip(folders, (1.0, ap), strict=True):
                files.write_json(f"{folder}/metrics.json", {"bbox": scores(value), **same})
            own = {"arm": arm, "student": "s", "recipe": "r", "chain": "weak@1+strong@1", "seed": seed}
            rows.append({**own, "stages": stages})
    return tables.seed_rows(json.loads(json.dumps(rows)))


def test_the_numbers_of_a_seed_are_those_of_its_last_stage(seeds):
    assert seeds["AP"].tolist() == [10.0, 11.0, 15.0, 30.0, 30.0, 30.0]
    assert seeds["AP50"].tolist() == [20.0, 22.0, 30.0, 60.0, 60.0, 60.0]


def test_teachers_come_first_by_ap_then_students_then_arms_in_the_order_of_the_file(seeds):
    detectors = {name: {"bbox": scores(ap)} for name, ap in (("s", 50.0), ("weak", 20.0), ("strong", 40.0))}
    columns = {"params_m": [1.0] * 3, "gmacs": [2.0] * 3, "ms_per_image": [3.0] * 3}
    table = tables.main_table(seeds, detectors, pd.DataFrame(columns, index=["s", "weak", "strong"]))
    assert table["row"].tolist() == ["strong", "weak", "s", "zebra", "ant"]
    assert table["role"].tolist() == ["teacher", "teacher", "student", "arm", "arm"]
    assert table["AP"].tolist() == [40.0, 20.0, 50.0, 12.0, 30.0]
    assert table["seeds"].tolist()[3:] == [3, 3]
    # 10, 11, 15: standard deviation 2.6458; 4.303 is the 97.5% quantile of t with 2 degrees of freedom.
    half = 4.3027 * 2.6458 / 3**0.5
    assert table[tables.HALF_WIDTH].tolist()[3:] == pytest.approx([half, 0.0], rel=1e-4)
    assert table["ms/image"].notna().all()
