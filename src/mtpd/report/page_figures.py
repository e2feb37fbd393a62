"""The figures of the report page: those that other rules have drawn, and those of ``page_plots``."""

from __future__ import annotations

import base64
import io
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from mtpd import files, images
from mtpd.report import page_plots, pictures, stamps, tables
from mtpd.report.findings import Findings

IMAGES_OF_A_SORT = 2

# Titles and captions, for readers who have not read the paper; in the order of the page.
OF_DATA = {
    "train_samples": (
        "Training images, as they are trained with",
        "Up to twelve training images with their boxes and classes, under the names of their files; images "
        "with rare classes come first. Are the boxes around the objects, and are the names right?",
    ),
    "counts": (
        "How many objects, and how large",
        "Objects by class, the sizes of objects and the sizes of images, of each split. Both splits should "
        "look alike: otherwise AP judges the detectors by other data than they have learnt from.",
    ),
}

CAPTIONS = {
    "comparison": (
        "Is a sequence of teachers better?",
        "Difference in AP (validation) between an arm and its control, by seed, with the mean and its 95% "
        "interval. "
        "Right of the line, the arm is better; an interval that includes 0 shows no difference.",
    ),
    "paper": (
        "Beside the paper's results",
        "AP that the paper (or its authors' code) reports, in light colours, and ours, by the distillation "
        "loss. Heights of bars in the paper's figure are read to 0.1 AP.",
    ),
    "arms": (
        "AP of every arm",
        "COCO's AP (validation) of the student at the end of each arm. An arm is a way to train the student; "
        "all arms that are compared should have the same number of epochs.",
    ),
    "ap_over_epochs": (
        "AP from stage to stage",
        "AP on the validation images over the epochs. Each coloured span is a stage with one teacher, and "
        "the dashed line is that teacher's AP.",
    ),
    "adaptation_cost": (
        "How far the detectors are from each other",
        "The adaptation cost is the part of the target's features that no linear map of the source's "
        "features explains. The framed steps are the order that Backward Greedy Selection chose.",
    ),
    "orders": (
        "Every order of the teachers",
        "AP of each trained order against what the adaptation costs predict: on the left the sum of the "
        "costs of its steps, on the right the largest one.",
    ),
    "changes": (
        "Where the student gains",
        "Difference in AP from the student trained alone, for each class and for small, medium and large "
        "objects (COCO's sizes), after each stage of the first seed. With more than 20 classes: those with "
        "the largest differences.",
    ),
    "pictures": (
        "The same images, seen by each detector",
        "Validation images: the two with the largest gain of the last arm shown over the student alone "
        "(in F1, the harmonic mean of precision and recall of one image), the two with the largest loss, "
        "and two at random. Boxes with a score of at least 0.3.",
    ),
    "cost_of_accuracy": (
        "Accuracy and cost",
        "AP (validation) against milliseconds an image and against the number of parameters. Arms have those "
        "of the student.",
    ),
    "precision_recall": (
        "Precision and recall",
        "Mean over classes, at an IoU of at least 0.5. Dashed: teachers. Arms: the first seed.",
    ),
    "confusion": (
        "Which classes are confused",
        "Detections with a score of at least 0.3, matched with objects at an IoU of at least 0.5. The last "
        "column, “nothing”, has missed objects, and the last row false detections. With more than 20 "
        "classes: those with the most errors. First seed.",
    ),
    "loss_and_ap": (
        "Training loss and validation AP",
        "The sum of the student's detection loss and the distillation loss, mean of each epoch, and AP. "
        "Dotted: a new stage begins. First seed. Losses with different teachers or recipes cannot be "
        "compared.",
    ),
}


def drawn_before(plots: list[str]) -> list[dict]:
    """Title, caption and content of each plot of the experiment, in the order of ``CAPTIONS``."""
    return [
        _described(kind, "image/svg+xml", Path(path).read_bytes())
        for kind in CAPTIONS
        for path in plots
        if Path(path).stem.startswith(kind)
    ]


def of_data(pictures: list[Path]) -> list[dict]:
    """Title, caption and content of the pictures of the imported data."""
    media = {".jpg": "image/jpeg", ".png": "image/png"}
    return [_described(path.stem, media[path.suffix], path.read_bytes()) for path in pictures]


def drawn_here(findings: Findings, main: pd.DataFrame) -> list[dict]:
    """Title, caption and content of the plots that only the page has.

    Args:
        findings: of the experiment.
        main: its main table.
    """
    ends = {name: name for name in findings.settings["detectors"]} | findings.ends
    curves = {name: findings.analyses[subject]["precision"] for name, subject in ends.items()}
    curves = {name: curve for name, curve in curves.items() if curve}  # none without any object
    figures = {
        "cost_of_accuracy": page_plots.cost_of_accuracy(main),
        "changes": page_plots.changes(findings.ap_by_class(), findings.ap_by_size(), findings.student),
        "precision_recall": page_plots.precision_recall(curves, findings.settings["teachers"]),
        "confusion": page_plots.confusion(
            findings.confusion(findings.ends[findings.arm]), findings.classes, findings.arm
        ),
        "loss_and_ap": page_plots.loss_and_ap(
            tables.histories(findings.settings["shown"]), [row["arm"] for row in findings.settings["shown"]]
        ),
    }
    return [_described(kind, "image/svg+xml", _content(f, "svg", findings)) for kind, f in figures.items()]


def seen_by_each(findings: Findings, annotations: Path, folder: Path) -> dict:
    """The same validation images, as student, arm, its best control and the strongest teacher see them.

    Args:
        findings: of the experiment.
        annotations: COCO annotation file of the validation split.
        folder: of its images.
    """
    counts = (findings.analyses[name]["images"] for name in (findings.ends[findings.arm], findings.student))
    chosen = pictures.choose(*counts, IMAGES_OF_A_SORT, seed=0)
    names = filter(None, [findings.student, findings.best_control, findings.arm, findings.strongest])
    subjects = {name: findings.ends.get(name, name) for name in names}
    predictions = {name: findings.predictions(subject) for name, subject in subjects.items()}
    path_of = partial(images.path_of, folder=folder, beside=annotations.parent)
    figure = pictures.draw(chosen, files.read_json(annotations), path_of, predictions)
    return _described("pictures", "image/png", _content(figure, "png", findings))


def _content(figure: Figure, form: str, findings: Findings) -> bytes:
    stamps.stamp(figure, Path("results", findings.settings["experiment"]))
    content = io.BytesIO()
    figure.savefig(content, format=form, dpi=110, metadata={"Date": None} if form == "svg" else None)
    plt.close(figure)
    return content.getvalue()


def _described(kind: str, media: str, content: bytes) -> dict:
    title, caption = (CAPTIONS | OF_DATA)[kind]
    source = f"data:{media};base64,{base64.b64encode(content).decode()}"  # the page needs no other file
    return {"kind": kind, "title": title, "caption": caption, "source": source}
