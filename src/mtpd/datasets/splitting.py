"""A validation split from one set, by image; what belongs together stays on one side."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from pathlib import PurePosixPath

from mtpd.datasets.changes import Changes

COPY = re.compile(r"\.rf\.[0-9a-zA-Z]+$")  # of augmented copies: name.rf.hash
NUMBER = re.compile(r"^(.*?)(\d+)(\D*)$")
BLOCKS = (20, 10, 5, 2, 1)  # consecutive numbers that stay together; the largest that gives enough groups
FEWEST_GROUPS = 10


def original(name: str) -> str:
    """The image that a file is a copy of, as far as its name tells."""
    return COPY.sub("", str(PurePosixPath(name).with_suffix("")))


def split(content: dict, fraction: float, seed: int, changes: Changes) -> tuple[dict, dict]:
    """Divide one set into two for training and validation.

    An image's side follows from a hash of its name, so added images move no other. Only a class that one side
    would not have moves a group.
    """
    groups, block = _groups(content["images"])
    order = sorted(groups, key=lambda key: _position(key, seed))
    chosen = {key for key in order if _position(key, seed) < fraction}
    _share_classes(order, groups, _classes(content), chosen)
    val_names = {name for key in chosen for name in groups[key]}
    val = _part(content, val_names, True)
    train = _part(content, val_names, False)
    if not val["images"] or not train["images"]:
        changes.stop(f"{len(content['images'])} images cannot be divided into two splits; give dataset.val")
    told = f"; numbered names stay together in blocks of {block}" if block > 1 else ""
    changes.note(
        f"one set: divided by image into {len(train['images'])} for train and {len(val['images'])} for val"
        f" (val_fraction {fraction:g}, seed {seed}), in {len(groups)} groups; copies of one image stay"
        f" together{told}"
    )
    return train, val


def _groups(images: list[dict]) -> tuple[dict[str, list[str]], int]:
    """Names of images by what they belong to, and the length of the blocks of numbers."""
    for block in BLOCKS:
        groups: dict[str, list[str]] = defaultdict(list)
        first: dict[str, str] = {}  # the group of the bytes
        for image in sorted(images, key=lambda image: image["file_name"]):
            key = _key(original(image["file_name"]), block)
            groups[first.setdefault(image.get("_digest") or key, key)].append(image["file_name"])
        if len(groups) >= FEWEST_GROUPS:
            break
    return groups, block


def _key(name: str, block: int) -> str:
    match = NUMBER.match(name)
    if not match or len(match[2]) > 9:  # a hash or a time, no count
        return name
    return f"{match[1]}{int(match[2]) // block}#{match[3]}"


def _position(key: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _classes(content: dict) -> dict[str, set[int]]:
    """The classes in each image."""
    names = {image["id"]: image["file_name"] for image in content["images"]}
    found = defaultdict(set)
    for item in content["annotations"]:
        found[names[item["image_id"]]].add(item["category_id"])
    return found


def _share_classes(order: list[str], groups: dict[str, list[str]], classes: dict, chosen: set[str]) -> None:
    """Move groups so that both sides have every class that is in two groups, the rarest first."""
    if len(order) < 2:
        return
    if not chosen:
        chosen.add(order[0])
    if len(chosen) == len(order):
        chosen.remove(order[-1])
    of_group = {key: set().union(*(classes.get(name, ()) for name in groups[key])) for key in order}
    counts = Counter(one for key in order for one in of_group[key])
    for wanted in sorted(counts, key=lambda one: (counts[one], one)):
        having = [key for key in order if wanted in of_group[key]]
        if not any(key not in chosen for key in having):
            chosen.remove(having[-1])
        if len(having) > 1 and not any(key in chosen for key in having):
            chosen.add(having[0])


def _part(content: dict, names: set[str], inside: bool) -> dict:
    images = [image for image in content["images"] if (image["file_name"] in names) == inside]
    ids = {image["id"] for image in images}
    objects = [item for item in content["annotations"] if item["image_id"] in ids]
    return {**content, "images": images, "annotations": objects}
