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
from mtpd.report import captions, page_plots, pictures, stamps, tables
from mtpd.report.findings import Findings

IMAGES_OF_A_SORT = 2


def drawn_before(plots: dict[str, list[str]]) -> list[dict]:
    """Title, caption and content of each plot that other rules have drawn, in the order of the page.

    Args:
        plots: paths of SVG files, by the kind of plot (``mtpd.experiment.outputs.plots_by_kind``).
    """
    return [
        _described(kind, "image/svg+xml", Path(path).read_bytes())
        for kind in captions.OF_RESULTS
        for path in plots.get(kind, [])
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
    """Some validation images, as student, arm, its best control and the strongest teacher see them.

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
    title, caption = (captions.OF_DATA | captions.OF_RESULTS)[kind]
    source = f"data:{media};base64,{base64.b64encode(content).decode()}"  # the page needs no other file
    return {"kind": kind, "title": title, "caption": caption, "source": source}
