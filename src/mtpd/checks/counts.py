"""Numbers of images and objects that do not suit the experiment. Needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mtpd.checks.subjects import Kind, Passed

COCO_SCORES = 100  # detections of one class in an image
LEAST_TO_ORDER = 2  # training images, one for each half
SPLITS = ("train", "val")


def most(content: dict) -> dict[str, int]:
    """The largest numbers of objects in an image of a COCO file: ``objects``, and ``of_a_class``.

    Crowds are left out: nobody asks to find them.
    """
    objects = [item for item in content["annotations"] if not item["iscrowd"]]
    of_images = Counter(item["image_id"] for item in objects)
    of_classes = Counter((item["image_id"], item["category_id"]) for item in objects)
    return {
        "objects": max(of_images.values(), default=0),
        "of_a_class": max(of_classes.values(), default=0),
    }


def limits(test_cfg: dict | None) -> dict[str, int]:
    """How many objects of an image a detector can return, by the key of its config that says so.

    A detector of two stages returns at most one object of a class for each proposal.
    """
    parts = {"": test_cfg or {}}
    parts |= {f"{key}.": parts[""].get(key) or {} for key in ("rpn", "rcnn")}
    found = {f"model.test_cfg.{begin}max_per_img": part.get("max_per_img") for begin, part in parts.items()}
    return {key: limit for key, limit in found.items() if limit and limit > 0}  # mmdet takes -1 for no limit


def problems(spec: dict, passed: Passed) -> list[str]:
    """A line if there are too few training images to order teachers.

    Args:
        spec: of ``mtpd.experiment.specs.checks``.
        passed: the checks of the same spec; they know how many there are.
    """
    images = passed.facts(Kind.SPLIT, "train").get("images", LEAST_TO_ORDER)
    if not spec["ordered"] or images >= LEAST_TO_ORDER:
        return []
    return [
        f"dataset.train: found {images} image; expected at least {LEAST_TO_ORDER}, because an arm has a "
        "policy: adaptation costs are fitted on half of the images and measured on the others"
    ]


def used(passed: Passed) -> Iterator[str]:
    """What is trained and scored with, a line for each split."""
    for name in SPLITS:
        if line := passed.facts(Kind.SPLIT, name).get("used"):
            yield f"{name}: {line}"


def warnings(spec: dict, passed: Passed) -> Iterator[str]:
    """A line for each limit of a detector, and one if COCO's, that is below what a split has.

    Args:
        spec, passed: as for ``problems``; the checks know the limits, too.
    """
    known = {name: passed.facts(Kind.SPLIT, name).get("most") for name in SPLITS}
    for name in spec["detectors"]:
        for key, limit in passed.facts(Kind.DETECTOR, name).get("limits", {}).items():
            above = {
                split: found["objects"]
                for split, found in known.items()
                if found and found["objects"] > limit
            }
            if above:
                seen = " and ".join(f"{split} has up to {count}" for split, count in above.items())
                yield (
                    f"detectors.{name}: finds at most {limit} objects in an image, but {seen}; "
                    f"expected overrides: {{{key}: {max(above.values())}}}, or more"
                )
    of_a_class = (known["val"] or {}).get("of_a_class", 0)
    if of_a_class > COCO_SCORES:
        yield (
            f"dataset.val: up to {of_a_class} objects of one class in an image, but COCO scores only "
            f"{COCO_SCORES} detections of a class: AP is lower than what a detector finds"
        )
