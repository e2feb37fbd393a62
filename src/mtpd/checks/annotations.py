"""What can be wrong with COCO annotation files and their images. Needs no torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from mtpd.data import coco

NUMBER = (int, float)
KEYS = {
    "images": {"id": int, "file_name": str, "width": int, "height": int},
    "categories": {"id": int, "name": str},
    "annotations": {
        "id": int,
        "image_id": int,
        "category_id": int,
        "bbox": list,
        "area": NUMBER,
        "iscrowd": int,
    },
}
NAMED = 3  # examples of each kind of problem; the rest is counted
STEP = 10_000  # images between two lines of progress
# EXIF: OpenCV, which reads for mmdet, turns or mirrors all images that are not upright, some by 90 degrees.
ORIENTATION, UPRIGHT, TURNED = 0x0112, 1, range(5, 9)


def problems(
    annotations: str,
    images: str,
    least_side: int | None,
    skip_bad_boxes: bool,
    say: Callable[[str], None] = print,
) -> list[str]:
    """What is wrong with one split: a line for each kind of problem.

    Args:
        annotations: COCO annotation file.
        images: folder of its images.
        least_side: of the images that are trained with, in pixels; None for a split that is not trained with.
        skip_bad_boxes: whether boxes that are empty or outside their image are accepted.
        say: takes lines of progress where there are many images.
    """
    if wrong := malformed(annotations):
        return wrong
    content = coco.parsed(annotations)
    found = [
        *_wrong_ids(content),
        *_wrong_objects(content, skip_bad_boxes),
        *_wrong_images(content, images, say),
    ]
    if least_side and not found and not _has_object(content, least_side):
        found = [(f"nothing to train with: objects in images of at least {least_side} pixels", "none")]
    if not least_side and not found and not _has_scored_object(content):
        found = [("nothing to score with: objects that are no crowd", "none")]
    return [f"{annotations}: {line}" for line in _by_kind(found)]


def malformed(annotations: str) -> list[str]:
    """What is wrong with the form of a COCO annotation file: a line for each kind of problem."""
    try:
        content = coco.parsed(annotations)
    except FileNotFoundError:
        return [f"{annotations}: no such file"]
    except (OSError, ValueError) as error:
        return [f"{annotations}: not a JSON file: {error}"]
    return [f"{annotations}: {line}" for line in _by_kind(list(_malformed(content)))]


def unknown_categories(annotations: str, names: list[str]) -> str:
    """The line for categories of the validation split that cannot be learnt."""
    return f"{annotations}: categories that the training split does not have: {', '.join(names)}"


def without_segmentation(annotations: str) -> list[str]:
    """A line if some objects have no segmentation, which a mask head needs of every object."""
    objects = coco.parsed(annotations)["annotations"]
    which = [f"annotation {item['id']}" for item in objects if not item.get("segmentation")]
    found = [("objects without the segmentation that a mask head needs", name) for name in which]
    return [f"{annotations}: {line}" for line in _by_kind(found)]


def accepted_boxes(annotations: str) -> list[str]:
    """A line if a sound file has boxes that only ``skip_bad_boxes`` accepts; mmdet trains without them."""
    bad = [item for item, size in _objects(annotations) if _is_bad(item["bbox"], size)]
    what = f"{len(bad)} boxes that are empty or outside their image, accepted with dataset.skip_bad_boxes"
    return _told(annotations, what, bad)


def too_small(annotations: str) -> list[str]:
    """A line if a sound file has other objects that mmdet trains without."""
    objects = _objects(annotations)
    small = [item for item, size in objects if _is_too_small(item) and not _is_bad(item["bbox"], size)]
    what = f"{len(small)} objects of area 0 or with a side below one pixel, which training leaves out"
    return _told(annotations, what, small)


def _objects(annotations: str) -> Iterator[tuple[dict, tuple[int, int]]]:
    """Every object of a sound file, and the width and height of its image."""
    content = coco.parsed(annotations)
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    return ((item, sizes[item["image_id"]]) for item in content["annotations"])


def _told(annotations: str, what: str, items: list[dict]) -> list[str]:
    found = [(what, f"annotation {item['id']} ({item['bbox']})") for item in items]
    return [f"{annotations}: {line}" for line in _by_kind(found)]


def _by_kind(found: list[tuple[str, str]]) -> list[str]:
    """(what, which) as lines: the first few of each kind, and how many more there are."""
    kinds: dict[str, list[str]] = {}
    for what, which in found:
        kinds.setdefault(what, []).append(which)
    return [
        f"{what}: {', '.join(which[:NAMED])}" + f" and {len(which) - NAMED} more" * (len(which) > NAMED)
        for what, which in kinds.items()
    ]


def _malformed(content) -> Iterator[tuple[str, str]]:
    if not isinstance(content, dict):
        yield "expected a COCO object with images, annotations and categories, found", type(content).__name__
        return
    for key, needed in KEYS.items():
        if not isinstance(content.get(key), list):
            yield "expected lists, missing", key
            continue
        for number, item in enumerate(content[key]):
            own = item if isinstance(item, dict) else {}
            if absent := [k for k in needed if k not in own]:
                yield f"{key} without {', '.join(absent)}", f"number {number}"
            for k, kind in needed.items():
                if k in own and not isinstance(own[k], kind):
                    yield f"{key}: values of {k} have the wrong type", f"number {number} ({own[k]!r})"
    if content.get("images") == []:
        yield "expected images, found", "an empty split"
    if content.get("categories") == []:
        yield "expected categories, found", "none"


def _wrong_ids(content: dict) -> Iterator[tuple[str, str]]:
    for key, least in (("images", 0), ("categories", 0), ("annotations", 1)):
        # pycocotools reads annotation id 0 as "no match".
        ids = Counter(item["id"] for item in content[key])
        yield from ((f"ids of {key} must be {least} or more, found", str(i)) for i in ids if i < least)
        yield from ((f"{key}: duplicate ids", str(i)) for i, count in ids.items() if count > 1)
    names = Counter(category["name"] for category in content["categories"])
    yield from (("categories: duplicate names", name) for name, count in names.items() if count > 1)


def _wrong_objects(content: dict, skip_bad_boxes: bool) -> Iterator[tuple[str, str]]:
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    for item in content["annotations"]:
        which = f"annotation {item['id']}"
        if item["image_id"] not in sizes:
            yield "objects in images that are not listed", f"{which} (image {item['image_id']})"
            continue
        if item["category_id"] not in categories:
            yield "objects of unknown categories", f"{which} (category {item['category_id']})"
        box = item["bbox"]
        if not _is_box(box):
            yield "boxes must be four finite numbers (x, y, width, height)", f"{which} ({box})"
        elif not skip_bad_boxes and _is_bad(box, sizes[item["image_id"]]):
            advice = "boxes empty or outside their image (correct them, or set dataset.skip_bad_boxes)"
            yield advice, f"{which} ({box})"


def _is_box(box: list) -> bool:
    return len(box) == 4 and all(isinstance(v, NUMBER) and math.isfinite(v) for v in box)


def _is_bad(box: list[float], size: tuple[int, int]) -> bool:
    left, top, width, height = box
    within_x = min(left + width, size[0]) - max(left, 0)
    within_y = min(top + height, size[1]) - max(top, 0)
    return min(width, height, within_x, within_y) <= 0


def _is_too_small(item: dict) -> bool:
    return item["area"] <= 0 or min(item["bbox"][2:]) < 1


def _has_object(content: dict, least_side: int) -> bool:
    """Whether mmdet keeps any object of a sound file: not a crowd, in its image, the image not too small."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    return any(
        not item["iscrowd"]
        and not item.get("ignore")
        and min(sizes[item["image_id"]]) >= least_side
        and not _is_too_small(item)
        and not _is_bad(item["bbox"], sizes[item["image_id"]])
        for item in content["annotations"]
    )


def _has_scored_object(content: dict) -> bool:
    """Whether pycocotools scores any object: without one, every AP is -1. It does not look at ``ignore``."""
    return any(not item["iscrowd"] for item in content["annotations"])


def _wrong_images(content: dict, folder: str, say: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    if not Path(folder).is_dir():
        yield "no such folder of images", folder
        return
    not_upright = 0
    for number, image in enumerate(content["images"]):
        if number and number % STEP == 0:
            say(f"{folder}: {number} of {len(content['images'])} images looked at")
        path = Path(folder, image["file_name"])
        try:
            with Image.open(path) as opened:
                orientation = opened.getexif().get(ORIENTATION, UPRIGHT)
                not_upright += orientation != UPRIGHT
                turned = orientation in TURNED
                size = opened.size[::-1] if turned else opened.size
        except FileNotFoundError:
            yield "images missing", str(path)
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
            yield "images that cannot be read", str(path)
        else:
            if size != (image["width"], image["height"]):
                listed = f"{image['width']}x{image['height']}"
                why = " as its EXIF orientation turns it" * turned
                found = f"{path} ({size[0]}x{size[1]}{why}, not {listed})"
                yield "image size differs from the annotation", found
    if not_upright:
        say(f"{folder}: EXIF turns {not_upright} images: boxes must be drawn on the turned images")
