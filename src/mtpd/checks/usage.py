"""How much of an imported split is trained or scored with. Needs no torch."""

from __future__ import annotations

from collections import Counter

NAMED = 3  # examples in a line; the rest is counted
LEAST_SHARE = 0.5  # of the objects that must be trained with; that less are is a mistake, or has a key


class Unused(ValueError):
    """Nothing of a split, or too little, would be trained or scored with."""


def training(content: dict, least_side: int, skip_empty: bool) -> str:
    """A line that says what mmdet trains with, and why not with the rest.

    Args:
        content: of a COCO file that was imported.
        least_side: pixels; images with a shorter side are left out.
        skip_empty: whether images without objects are.

    Raises:
        Unused: less than half of the objects would be trained with.
    """
    small = {image["id"] for image in content["images"] if min(image["width"], image["height"]) < least_side}
    with_objects = {item["image_id"] for item in content["annotations"]}
    without = {image["id"] for image in content["images"]} - with_objects - small if skip_empty else set()
    images = Counter({f"images with a side below {least_side} pixels (dataset.min_image_side)": len(small)})
    images["images without objects (dataset.skip_empty_images)"] = len(without)
    objects = Counter(filter(None, (_why_not(item, small) for item in content["annotations"])))
    used = len(content["annotations"]) - objects.total()
    line = _line(content, images.total(), objects.total(), "trained", images + objects)
    if used < LEAST_SHARE * (used + objects.total() - objects["crowds"]) or not used:
        raise Unused(f"{line}; expected at least half of the objects: change that key, or the data")
    return line


def _why_not(item: dict, small: set) -> str | None:
    """Why mmdet does not train with an object; None if it does. See ``CocoDataset.parse_data_info``."""
    if item["image_id"] in small:
        return "objects in images that are left out"
    if item.get("ignore"):
        return "objects with `ignore`"
    if item["area"] <= 0 or min(item["bbox"][2:]) < 1:
        return "objects with a side below one pixel"
    return "crowds" if item["iscrowd"] else None


def scoring(content: dict) -> str:
    """A line that says what is scored. pycocotools does not look at ``ignore``.

    Raises:
        Unused: there are only crowds, so that every AP would be -1.
    """
    crowds = sum(item["iscrowd"] for item in content["annotations"])
    line = _line(content, 0, crowds, "scored", Counter(crowds=crowds))
    if crowds == len(content["annotations"]):
        raise Unused(f"{line}; expected objects that are no crowd")
    return line


def _line(content: dict, images: int, objects: int, what: str, why: Counter) -> str:
    """Args: how many images and objects are left out, and counts by reason."""
    all_images, all_objects = len(content["images"]), len(content["annotations"])
    told = ", ".join(f"{count} {reason}" for reason, count in why.items() if count)
    return (
        f"{all_images - images} of {all_images} images, {all_objects - objects} of {all_objects} objects "
        f"are {what} with{f', without {told}' * bool(told)}"
    )


def without_masks(content: dict) -> str | None:
    """A line if some objects have no segmentation, which a mask head needs of every object."""
    found = [item["id"] for item in content["annotations"] if not item.get("segmentation")]
    if not found:
        return None
    named = ", ".join(map(str, found[:NAMED]))
    return (
        f"{len(found)} of {len(content['annotations'])} objects have no mask, which detectors with a mask "
        f"head need (objects {named}); take detectors without masks, or leave these objects out of the data"
    )
