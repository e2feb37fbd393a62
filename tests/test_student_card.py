"""The card of an exported student says what it was given, whatever else there is on the disk."""

from pathlib import Path

import pytest
from conftest import RECIPE
from exports import export_spec

from mtpd import files
from mtpd.report import cards

STUDENT = Path("results/d/students/r18_w8/pkd/swin@1+wide@2/seed0/student.pth")
METRICS = {
    "bbox": {"AP": 12.34, "AP50": 20.0, "AP75": 10.0},
    "images": 6,
    "dataset": "d",
    "annotations_sha256": "0",
    "versions": {"torch": "2"},
}
EXPORT = {
    "classes": ["cell"],
    "outputs": ["boxes", "scores", "labels"],
    "resize": {"fit": [64, 64]},
    "cost": {"params_m": 1.0, "gmacs": 2.0},
    "inside_the_graph": {
        "mean": None, "std": None, "padding_divisor": 32, "nms_iou_threshold": 0.5, "most_detections": 100,
        "score_threshold": 0.05,
    },
    "agreement": {
        "images": 6, "detections": 60, "unpaired_detections": 0, "largest_box_difference_pixels": 1e-5,
        "largest_score_difference": 1e-6,
    },
    "milliseconds": {"images": 6, "threads": 1, "cpu": "x", "mmdet": 10.0, "onnxruntime": 2.0},
    "metrics": {"bbox": {"metrics.json": METRICS["bbox"], "onnxruntime": METRICS["bbox"]}},
    "student_sha256": "1", "onnx_sha256": "2", "opset": 20, "versions": {"onnx": "1"},
}  # fmt: skip


@pytest.fixture
def card(tmp_path, monkeypatch, dataset):
    """The card, as it is made now."""
    monkeypatch.chdir(tmp_path)
    return lambda: cards.of_student(export_spec(dataset, "r18_w8"), EXPORT, METRICS, STUDENT)


def test_the_card_does_not_depend_on_other_seeds(card):
    """Another seed has ended, of the same settings."""
    alone = card()
    assert "| boxes | onnxruntime          | 12.3 |" in alone
    assert "These are the numbers of this student alone, seed 0." in alone
    for seed in (0, 1):
        for chain in ("swin@1", "swin@1+wide@2"):
            work = f"work/d/students/r18_w8/pkd/{chain}/seed{seed}"
            files.write_json(f"{work}/spec.json", {"recipe": RECIPE, "seed": seed})
        files.write_json(STUDENT.parent.with_name(f"seed{seed}") / "metrics.json", METRICS)
    assert card() == alone


def test_the_card_names_the_weights_that_the_student_started_from(dataset):
    spec = export_spec(dataset, "r18_w8")
    started = {**spec, "initial": {"place": "zoo.pth", "sha256": "c2398f9e"}}
    found = cards.of_student(started, EXPORT, METRICS, STUDENT).splitlines()
    line = "- started from trained weights: zoo.pth, SHA-256 `c2398f9e`"
    assert found[found.index("- seed 0") + 1] == line
    assert line not in cards.of_student(spec, EXPORT, METRICS, STUDENT)


def test_the_card_of_a_student_without_normalisation_and_limit(dataset):
    inside = {**EXPORT["inside_the_graph"], "most_detections": None}
    spec = export_spec(dataset, "r18_w8")
    card = cards.of_student(spec, {**EXPORT, "inside_the_graph": inside}, METRICS, STUDENT)
    assert "does the rest: no normalisation, padding" in card
    assert "(IoU\n0.5), all detections with a score above\n0.05" in card
