"""Exported students: onnxruntime finds what mmdet finds, without torch, in the model that was checked."""

import os
import runpy
import subprocess
import sys

import cv2
import numpy as np
import onnx
import pytest
import snakes
from conftest import PROJECT, spec
from exports import HEADS, by_mmdet, export_spec, partners, pictures, student

from mtpd import files
from mtpd.export import predict
from mtpd.export.export import export
from mtpd.export.support import ExportError

ABSENT = ("torch", "torchvision", "mmdet", "mmcv", "mmengine", "mtpd")
AP_TOLERANCE = 0.01


def command(folder, dataset, name, **changes):
    """The script, for an export into the folder ``export`` beside the student; ``changes`` of its spec."""
    out = folder / "export"
    files.write_json(folder / "spec.json", {**export_spec(dataset, name), **changes})
    words = [PROJECT / "workflow/scripts/export.py", "--spec", folder / "spec.json"]
    words += ["--student", folder / "student.pth", "--metrics", folder / "metrics.json"]
    words += ["--model", out / "student.onnx", "--card", out / "card.md"]
    words += ["--numbers", out / "export.json", "--program", out / "predict.py"]
    return list(map(str, words))


def run_script(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    return subprocess.run(
        [sys.executable, *command(*arguments)], env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory, dataset):
    """The folder of a RetinaNet student that the script has exported."""
    folder = tmp_path_factory.mktemp("results") / "seed0"
    folder.mkdir()
    student(folder, "r18_w8", dataset)
    done = run_script(folder, dataset, "r18_w8")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("key", ["made_with", "trained_with"])
def test_a_student_of_other_settings_is_refused(key, exported, dataset, monkeypatch):
    script, *arguments = command(exported, dataset, "r18_w8", **{key: "other"})
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    with pytest.raises(SystemExit, match="other settings than this experiment's"):
        runpy.run_path(script, run_name="__main__")


def finds_the_same(path, session, settings):
    """Compares detections in pictures of several sizes; how many there are."""
    find, outputs, total = by_mmdet(path), settings["outputs"], 0
    for picture in pictures():
        expected = find(picture)
        values = session.run(outputs, predict.inputs(picture, settings))
        found = dict(zip(outputs, values, strict=True))
        # One more or less: where a score is at a threshold, the last digits decide.
        assert partners(expected, found) >= len(expected["scores"]) - 1
        assert partners(found, expected) >= len(found["scores"]) - 1
        total += len(expected["scores"])
    return total


def test_the_model_finds_what_stock_mmdet_finds(exported):
    session, settings = predict.load(exported / "export")
    assert finds_the_same(exported / "student.pth", session, settings) > 50


def test_the_numbers_are_those_of_the_student(exported):
    numbers, metrics = (
        files.read_json(exported / "export/export.json"),
        files.read_json(exported / "metrics.json"),
    )
    assert numbers["student_sha256"] == files.sha256(exported / "student.pth")
    both = numbers["metrics"]["bbox"]
    assert both["metrics.json"] == metrics["bbox"]
    assert both["onnxruntime"]["AP"] > 0
    for name, value in metrics["bbox"].items():
        assert both["onnxruntime"][name] == pytest.approx(value, abs=AP_TOLERANCE)
    assert numbers["agreement"]["images"] == metrics["images"] == 6
    assert numbers["agreement"]["detections"] > 50


def test_the_card_says_what_the_model_is(exported):
    card = (exported / "export/card.md").read_text()
    numbers = files.read_json(exported / "export/export.json")
    for text in (
        numbers["student_sha256"],
        numbers["onnx_sha256"],
        numbers["dataset"]["annotations_sha256"],
        "- stage 1: 1 epoch, swin; began with neck and heads of swin\n- stage 2: 2 epochs, wide\n",
        "- teacher `swin`: ",
        "r18_w32.py`; taken from wide.pth; SHA-256 `0123`; licence: CC BY 4.0",
        "- licence: not named in the experiment file",
        f"{numbers['metrics']['bbox']['onnxruntime']['AP']:.1f}",
        "These are the numbers of this student alone, seed 0.",
        "type: AdamW",
    ):
        assert text in card
    assert "{{" not in card


def without_torch(folder, *arguments):
    """``predict.py`` where neither torch nor mmdet nor this project can be imported."""
    absent = folder.parent / "absent"
    absent.mkdir(exist_ok=True)
    for name in ABSENT:
        (absent / f"{name}.py").write_text(f"raise ImportError('{name} was imported')")
    command = [sys.executable, str(folder / "predict.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(absent)}
    return subprocess.run(command, env=environment, cwd=absent, capture_output=True, text=True)


def test_predict_runs_without_torch_and_draws(exported, tmp_path):
    picture = list(pictures())[1]
    cv2.imwrite(str(tmp_path / "picture.png"), picture)
    arguments = [tmp_path / "picture.png", "--score", 0.05, "--draw", tmp_path / "drawn.png"]
    done = without_torch(exported / "export", *arguments)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    expected = by_mmdet(exported / "student.pth")(picture)
    assert len(lines) == pytest.approx(len(expected["scores"]), abs=1)
    classes = files.read_json(exported / "export/export.json")["classes"]
    printed = {
        "labels": np.array([classes.index(line[0]) for line in lines]),
        "scores": np.array([float(line[1]) for line in lines]),
        "boxes": np.array([line[2:] for line in lines], dtype=float),
    }
    rounded = {**expected, "scores": expected["scores"].round(3), "boxes": expected["boxes"].round(1)}
    printed["boxes"] = printed["boxes"].round(1)
    assert partners(rounded, printed) >= 0.9 * len(lines)  # rounding can separate the others
    drawn = cv2.imread(str(tmp_path / "drawn.png"))
    assert drawn.shape == picture.shape
    assert (drawn != picture).any()


def test_predict_refuses_another_model(exported, tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    for path in (exported / "export").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    model = bytearray((folder / "student.onnx").read_bytes())
    model[len(model) // 2] ^= 1
    (folder / "student.onnx").write_bytes(model)
    done = without_torch(folder, "picture.png")
    assert done.returncode != 0
    assert "not the model that was checked" in done.stderr


def test_predict_says_that_there_is_no_picture(exported):
    done = without_torch(exported / "export", "missing.png")
    assert done.returncode == 1
    assert done.stderr.endswith("missing.png: no picture that OpenCV can read\n")


@pytest.mark.parametrize("name", ["missing/drawn.png", "drawn.gif", "drawn"])
def test_predict_says_that_it_cannot_write(name, exported, tmp_path):
    cv2.imwrite(str(tmp_path / "picture.png"), next(pictures()))
    target = tmp_path / name
    done = without_torch(exported / "export", tmp_path / "picture.png", "--draw", target)
    assert done.returncode == 1
    assert (
        f"{target}: cannot be written; expected a folder that is there, and a name that ends in .png"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_other_annotations_are_refused(exported, dataset):
    metrics = files.read_json(exported / "metrics.json") | {"annotations_sha256": "0" * 64}
    with pytest.raises(ExportError, match=r"val\.json: found SHA-256 .* expected 0000000000000000\.\.\."):
        export(dataset, spec("r18_w8"), exported / "student.pth", metrics)


@pytest.fixture
def model(exported, monkeypatch):
    """The model of ``exported``, which an export then takes: to make it again takes long."""
    model = onnx.load(exported / "export/student.onnx")
    monkeypatch.setattr("mtpd.export.export.to_onnx", lambda graph: model.SerializeToString())
    return model


def test_another_ap_than_that_of_the_student_is_refused(exported, dataset, model):
    metrics = files.read_json(exported / "metrics.json")
    metrics["bbox"]["AP"] += 1
    with pytest.raises(ExportError, match=r"AP \(bbox\) with onnxruntime: found .*, expected .* within 0\.5"):
        export(dataset, spec("r18_w8"), exported / "student.pth", metrics)


def test_a_model_that_does_not_find_what_mmdet_finds_is_refused(exported, dataset, model):
    (bias,) = (each for each in model.graph.initializer if each.name.endswith("retina_cls.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.5, bias.name))
    metrics = files.read_json(exported / "metrics.json")
    with pytest.raises(ExportError, match="onnxruntime does not find what mmdet finds:"):
        export(dataset, spec("r18_w8"), exported / "student.pth", metrics)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in HEADS if name != "r18_w8"])
def test_other_kinds_of_students_find_what_stock_mmdet_finds(name, dataset, tmp_path):
    path = student(tmp_path, name, dataset)
    done = run_script(tmp_path, dataset, name)
    assert done.returncode == 0, done.stderr
    session, settings = predict.load(tmp_path / "export")
    assert finds_the_same(path, session, settings) > 50
    metrics = files.read_json(tmp_path / "metrics.json")
    measured = files.read_json(tmp_path / "export/export.json")["metrics"]
    assert measured.keys() == {"bbox", "segm"} & metrics.keys()
    for kind, found in measured.items():
        assert found["onnxruntime"]["AP"] == pytest.approx(metrics[kind]["AP"], abs=AP_TOLERANCE)


@pytest.mark.slow
def test_the_workflow_exports_a_student_that_it_has_trained(finished):
    folder = "results/few-shapes/students/student/pkd/swin@1+wide@1/seed0/export"
    code, said = snakes.snakemake(finished, "--", f"{folder}/student.onnx")
    assert code == 0, said
    predict.load(finished / folder)
    card = (finished / folder / "card.md").read_text()
    assert "stage 2: 1 epoch, wide" in card
    assert "teacher `swin`: " in card
    assert "1 epochs, 4 images a step, type AdamW" in card  # how the teacher was trained
