"""The images that a split lists: their files, their sizes, each of them once."""

from __future__ import annotations

import filecmp
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from mtpd.datasets.boxes import overlap
from mtpd.datasets.changes import NAMED, Changes
from mtpd.datasets.names import Double, ImageNames
from mtpd.datasets.tree import Tree

Looking = Callable[[list[Path]], dict]
ALIKE = 0.7  # intersection over union from which on two boxes of one image describe the same thing


def tidy(content: dict, tree: Tree, names: ImageNames, look: Looking, changes: Changes) -> Path | None:
    """Leave out images that cannot be used, and say where the others are.

    Returns:
        The folder that all ``file_name`` are relative to; None after a stop. Each image gets ``_digest``, the
        hash of its bytes; one to be converted ``_convert``, its path and what to say.
    """
    _find_files(content, tree, names, changes)
    if changes.stops:
        return None
    looks = look([tree.folder / image["_path"] for image in content["images"]])
    for image in content["images"]:
        image["_look"] = looks[tree.folder / image["_path"]]
    _check_sizes(content, changes)
    _join_same_files(content, changes)
    return _name_below_one_root(content, tree, names.base, changes)


def _find_files(content: dict, tree: Tree, names: ImageNames, changes: Changes) -> None:
    missing = []
    for image in content["images"]:
        name = image.get("file_name")
        image["_path"] = names.find(name) if isinstance(name, str) and name else None
        if image["_path"] is None:
            missing.append(str(name))
    if len(missing) > len(content["images"]) / 2:
        found = f"{len(tree.images)} images are there" if tree.images else "no image is there"
        told = ", ".join(map(repr, missing[:NAMED]))
        changes.stop(
            f"{len(missing)} of {len(content['images'])} images are missing ({told}): looked for them in"
            f" {tree.folder} and all folders below, where {found}; put the images there"
        )
        return
    for number, name in enumerate(missing):
        changes.leave_out("images", "missing", names.nearest(name) if number < NAMED else name)
    keep(content, [image for image in content["images"] if image["_path"]])
    _tell_doubles(names.doubles, tree, changes)


def _tell_doubles(doubles: list[Double], tree: Tree, changes: Changes) -> None:
    """Say which of two files was taken; stop if both could be meant, and their bytes differ."""
    told = [f"{one.taken}, not {one.other}" for one in doubles]
    unlike = [
        f"{one.taken} and {one.other}"
        for one in doubles
        if one.doubtful and not filecmp.cmp(tree.folder / one.taken, tree.folder / one.other, shallow=False)
    ]
    if unlike:
        changes.stop(
            f"{len(unlike)} names of images fit two files of different content: {', '.join(unlike[:NAMED])};"
            f" take the wrong ones out of {tree.folder}, or write the folders into file_name"
        )
    elif told:
        changes.note(f"{len(told)} names of images fit two files: took {'; '.join(told[:NAMED])}")


def keep(content: dict, images: list[dict]) -> None:
    """Leave out all other images, and their objects."""
    kept = {image["id"] for image in images}
    content["images"] = images
    content["annotations"] = [item for item in content["annotations"] if item["image_id"] in kept]


def _check_sizes(content: dict, changes: Changes) -> None:
    usable, other = [], []
    for image in content["images"]:
        listed = (_pixels(image.get("width")), _pixels(image.get("height")))
        found = image["_look"].size or listed  # of a file that was not opened
        if image["_look"].problem and not image["_look"].convert:
            kind, which = "that cannot be trained with", f"{image['_path']} {image['_look'].problem}"
            changes.leave_out("images", kind, which)
        elif None in found:
            kind = "whose size is not listed, while dataset.decode (none) opens no image"
            changes.leave_out("images", kind, image["_path"])
        elif None in listed or listed == found:
            _write_size(image, found, changes)
            usable.append(image)
        else:
            other.append(image)
    if len(other) > len(usable):
        changes.stop(_of_other_sizes(other, len(usable) + len(other)))
    for image in other:
        changes.leave_out("images", "of another size than listed", _told_size(image))
    keep(content, usable)


def _pixels(value) -> int | None:
    """A length that may be written as text or with a point; None if it is none."""
    try:
        return int(float(value)) or None
    except (TypeError, ValueError, OverflowError):
        return None


def _told_size(image: dict) -> str:
    width, height = image["_look"].size
    return f"{image['_path']}: listed {image['width']} x {image['height']}, found {width} x {height}"


def _of_other_sizes(other: list[dict], total: int) -> str:
    turned = all((_pixels(one["height"]), _pixels(one["width"])) == one["_look"].size for one in other)
    why = (
        "width and height are exchanged: OpenCV turns images by their EXIF data, or the lists are wrong"
        if turned
        else "use the images that were annotated, or scale the boxes"
    )
    return f"{len(other)} of {total} images have another size than listed ({_told_size(other[0])}); {why}"


def _write_size(image: dict, size: tuple[int, int], changes: Changes) -> None:
    listed = (image.get("width"), image.get("height"))
    if listed == size and type(listed[0]) is int and type(listed[1]) is int:
        return
    if listed != (None, None):  # YOLO has no sizes
        changes.put_right("sizes of images", f"{image['_path']}: {listed[0]} x {listed[1]}")
    image["width"], image["height"] = size


def _join_same_files(content: dict, changes: Changes) -> None:
    """Images that are listed twice become one, with the objects of both.

    So do two files of the same bytes with the same objects. If the objects differ, both stay.
    """
    by_digest = defaultdict(list)
    for image in content["images"]:
        by_digest[image["_look"].digest].append(image)
    groups = [group for group in by_digest.values() if len(group) > 1]
    if not groups:
        return
    own = defaultdict(list)
    for item in content["annotations"]:
        own[item["image_id"]].append(item)
    dropped, doubtful = set(), []
    for first, *others in groups:
        for other in others:
            names = f"{first['file_name']} and {other['file_name']}"
            if not _same_objects(own[first["id"]], own[other["id"]]):
                if first["_path"] != other["_path"]:
                    doubtful.append(names)
                    continue
                if _contradict(own[first["id"]], own[other["id"]]):
                    changes.stop(f"one image file is listed twice with different objects: {names}; keep one")
            changes.put_right("images that are listed twice, joined", names)
            _join(first, other, own)
            dropped.add(other["id"])
    if doubtful:
        told = ", ".join(doubtful[:NAMED])
        changes.note(
            f"{len(doubtful)} images have the bytes of another one, but other objects: kept ({told})"
        )
    keep(content, [image for image in content["images"] if image["id"] not in dropped])


def _same_objects(some: list[dict], others: list[dict]) -> bool:
    """Whether one of two lists has all objects of the other."""
    one, two = ({(item["category_id"], str(item.get("bbox"))) for item in items} for items in (some, others))
    return one <= two or two <= one


def _join(first: dict, other: dict, own: dict[object, list]) -> None:
    for item in own[other["id"]]:
        item["image_id"] = first["id"]
    own[first["id"]] += own[other["id"]]


def _contradict(some: list[dict], others: list[dict]) -> bool:
    """Whether both have an object in the same place, but not the same one."""
    pairs = ((one, two) for one in some for two in others)
    return any(
        (one["category_id"], one.get("bbox")) != (two["category_id"], two.get("bbox"))
        and overlap(one.get("bbox"), two.get("bbox")) >= ALIKE
        for one, two in pairs
    )


def _name_below_one_root(content: dict, tree: Tree, base: str, changes: Changes) -> Path:
    """Make names relative to the folder that most of them are below, or to the whole folder."""
    if not all(image["_path"].startswith(base) for image in content["images"]):
        base = ""
    for image in content["images"]:
        name, listed = image["_path"][len(base) :], image["file_name"]
        if name != listed and str(PurePosixPath(base, name)) != listed:
            changes.put_right("names of images", f"{listed!r} -> {image['_path']!r}")
        image["file_name"] = name
        seen = image.pop("_look")
        image["_digest"] = seen.digest
        if seen.convert:
            image["_convert"] = tree.folder / image["_path"], f"{image['_path']}: {seen.problem}"
        del image["_path"]
    return tree.folder / base if base else tree.folder
