"""A first experiment file for a data set, with sizes that fit the data and the machine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import jinja2
import yaml

TEMPLATE, STOPPED = "starter.yaml", "starter_stopped.yaml"
LEAST_SIDE = 32  # pixels, of dataset.scale


@dataclass(frozen=True)
class Sizes:
    """Sizes of an experiment. The numbers are the project's rules of thumb, not measured optima.

    Attributes:
        longest, shortest: limits of the sides of an image, pixels.
        object_side: the median object should have at least this side, pixels, within the limits above.
        batch: images of a step.
        steps: of the student's training alone.
        least_epochs, most_epochs: limits of the epochs that these steps make.
        found: objects of an image that the detectors return at most, by their configs (max_per_img).
        candidates: boxes of a level that are looked at for each of them (nms_pre / max_per_img).
    """

    longest: tuple[int, ...]
    shortest: int
    object_side: float
    batch: int
    steps: int
    least_epochs: int
    most_epochs: int
    found: int
    candidates: int


SMALL = Sizes((256, 320, 384, 512), 512, 16, 4, 600, 6, 40, 50, 4)
LARGE = Sizes((1333,), 800, 0, 16, 7500, 12, 72, 100, 10)  # epochs from mmdet's 1x to its 6x schedule
STEP = 50  # max_per_img is a multiple of it


def write(
    name: str,
    dataset: dict,
    train: dict,
    val: dict,
    classes: list[str],
    one_set: bool,
    gpus: int,
    pretrained: bool,
    threads: int,
) -> tuple[str, dict]:
    """The text of the experiment file, and the numbers in it.

    Args:
        name: of the experiment.
        dataset: its keys that are known already, as in the file.
        train, val: of ``mtpd.datasets.numbers.of_split``.
        classes: their names.
        one_set: whether the validation split is taken out of the only set there is.
        gpus: of this machine; without any, the detectors are small and the images too.
        pretrained: whether small detectors can start from ImageNet weights.
        threads: CPU cores of a job.
    """
    sizes = LARGE if gpus else SMALL
    epochs = _epochs(train["count"], sizes)
    most_objects = max(train["most_objects"], val["most_objects"])
    numbers = {
        "scale": dataset.get("scale") or _scale(train["size"], train["object_side"], sizes),
        "epochs": epochs,
        "teacher_epochs": epochs + math.ceil(epochs / 2),
        "batch": sizes.batch,
        "probe_images": min(200, train["count"]),
        "max_per_img": max(sizes.found, math.ceil(most_objects / STEP) * STEP),
    }
    given = {key: value for key, value in dataset.items() if key != "scale"}
    content = {"name": name, "given": given, "train": train, "val": val, "classes": classes}
    content |= {"one_set": one_set, "gpus": gpus, "threads": threads}
    content["pretrained"] = pretrained
    content |= {"sizes": sizes, "most_objects": most_objects, **numbers}
    return _rendered(TEMPLATE, content), numbers


def write_stopped(name: str, source: str, stops: list[str], again: str) -> str:
    """The text of a file that has the data set only, with the keys that can help an import to go on.

    Args:
        name: of the experiment and its data set.
        source: folder of the data.
        stops: why the import stopped.
        again: the command that goes on.
    """
    lines = [line for stop in stops for line in stop.splitlines()]
    return _rendered(STOPPED, {"name": name, "source": source, "again": again, "stops": lines})


def _rendered(template: str, content: dict) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["yaml"] = _as_yaml
    return environment.get_template(template).render(content)


def _as_yaml(content: dict) -> str:
    """Keys in their order, a line each."""
    options = {"default_flow_style": True, "sort_keys": False, "allow_unicode": True, "width": 10**6}
    values = {key: yaml.safe_dump([value], **options).strip()[1:-1] for key, value in content.items()}
    return "\n".join(f"{key}: {value}" for key, value in values.items())


def _epochs(images: int, sizes: Sizes) -> int:
    """So many that they make the steps, within the limits."""
    wanted = math.ceil(sizes.steps * sizes.batch / images)
    return min(max(wanted, sizes.least_epochs), sizes.most_epochs)


def _scale(size: tuple[float, float], object_side: float, sizes: Sizes) -> list[int]:
    """Longer and shorter side into which images of this size are resized, ratio kept; never enlarged."""
    longest = max(size)
    enough = (side for side in sizes.longest if object_side * side / longest >= sizes.object_side)
    factor = min(1, next(enough, sizes.longest[-1]) / longest, sizes.shortest / min(size))
    return [max(LEAST_SIDE, round(side * factor)) for side in size]
