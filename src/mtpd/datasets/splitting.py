"""A validation split from one set, by image; what belongs together stays on one side."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from pathlib import PurePosixPath

from mtpd.datasets.changes import Changes

COPY = re.compile(r"\.rf\.[0-9a-zA-Z]+$")  # of augmented copies: name.rf.hash
NUMBER = re.compile(r"^(.*?)(\d+)(\D*)$")
BLOCKS = (20, 5, 1)  # consecutive numbers that stay together; one block is cut, into smaller ones

Groups = dict[str, list[str]]  # names of images by what they belong to


def original(name: str) -> str:
    """The image that a file is a copy of, as far as its name tells."""
    return COPY.sub("", str(PurePosixPath(name).with_suffix("")))


def split(content: dict, fraction: float, seed: int, changes: Changes) -> tuple[dict, dict]:
    """Divide one set into two for training and validation.

    All images have an order that follows from a hash of each name, whatever folders are called. The first
    ones validate, as many as make the fraction. So an image that is added moves at most one other, over the
    border; more only where copies of an image, or a class that one side would not have, decide.
    """
    names = [image["file_name"] for image in content["images"]]
    places = _places(names)
    groups = _groups(content["images"], places)
    target = min(max(round(fraction * len(names)), 1), len(names) - 1)
    order = sorted(groups, key=lambda key: min(_position(places[name], seed) for name in groups[key]))
    chosen = _choose(order, groups, _classes(content), target)
    val_names = {name for key in chosen for name in groups[key]}
    val = _part(content, val_names, True)
    train = _part(content, val_names, False)
    if not val["images"] or not train["images"]:
        changes.stop(
            f"{len(names)} images cannot be divided into two splits: add images, or give dataset.train and"
            " dataset.val in place of dataset.source"
        )
    changes.note(
        f"one set: divided by image into {len(train['images'])} for train and {len(val['images'])} for val"
        f" (dataset.val.fraction {fraction:g}, dataset.val.seed {seed})"
        + _told(groups, places, abs(len(val["images"]) - target))
    )
    return train, val


def _told(groups: Groups, places: dict[str, str], beside: int) -> str:
    """What stays together. Args: ``beside``, images more or less than the fraction makes."""
    copies = len(groups) < len(places)
    told = f"; copies of one image stay together, in {len(groups)} groups" if copies else ""
    if len({_block(place, BLOCKS[0]) for place in places.values()}) < len(groups):
        told += f"; numbered names stay together in blocks of {BLOCKS[0]}, but one at the border"
    return told + ("; nearer to the fraction, a class or copies would be divided" if beside > 1 else "")


def _places(names: list[str]) -> dict[str, str]:
    """What the position of each image follows from: its own name; with folders where two have such names."""
    folders = defaultdict(set)
    for name in names:
        folders[_block(_own(name), BLOCKS[0])].add(str(PurePosixPath(name).parent))
    places = {}
    for name in names:
        same = folders[_block(_own(name), BLOCKS[0])]
        folder = PurePosixPath(name).parent.relative_to(os.path.commonpath(same))
        places[name] = str(folder / _own(name)) if len(same) > 1 else _own(name)
    return places


def _own(name: str) -> str:
    return original(PurePosixPath(name).name)


def _groups(images: list[dict], places: dict[str, str]) -> Groups:
    """Images of one name, without what copies add, or of the same bytes; by the first name of each group."""
    same: dict[str, str] = {}

    def first(key: str) -> str:
        while same.setdefault(key, key) != key:
            key = same[key]
        return key

    for image in images:
        place = places[image["file_name"]]
        same[first(f"bytes {image.get('_digest') or place}")] = first(f"name {place}")
    groups: Groups = defaultdict(list)
    for name in sorted(places):
        groups[first(f"name {places[name]}")].append(name)
    return groups


def _block(place: str, length: int) -> str:
    """A name, with the number of its block in place of its own."""
    match = NUMBER.match(place)
    if not match or len(match[2]) > 9:  # a hash or a time, no count
        return place
    return f"{match[1]}{int(match[2]) // length}#{match[3]}"


def _position(place: str, seed: int) -> tuple[bytes | str, ...]:
    """Where an image stands in the order: near those of its block, and of its smaller block."""
    texts = (f"{seed}:{_block(place, length)}" for length in BLOCKS)
    return (*(hashlib.sha256(text.encode()).digest()[:8] for text in texts), place)


def _classes(content: dict) -> dict[str, set[int]]:
    """The classes in each image."""
    names = {image["id"]: image["file_name"] for image in content["images"]}
    found = defaultdict(set)
    for item in content["annotations"]:
        found[names[item["image_id"]]].add(item["category_id"])
    return found


def _choose(order: list[str], groups: Groups, classes: dict[str, set[int]], target: int) -> set[str]:
    """The groups to validate with: what classes need, then the first ones, up to a number of images."""
    val, train = _for_classes(order, groups, classes)
    size = sum(len(groups[key]) for key in val)
    free = [key for key in order if key not in val | train]
    for key in free:
        grown = size + len(groups[key])
        if abs(grown - target) < abs(size - target):
            val.add(key)
            size = grown
    if free and not val:  # all are too large
        val.add(min(free, key=lambda key: len(groups[key])))
    return val


def _for_classes(order: list[str], groups: Groups, classes: dict) -> tuple[set[str], set[str]]:
    """Groups that val and train need so that both have every class that is in two, the rarest first."""
    having = defaultdict(list)
    for key in order:
        for one in set().union(*(classes.get(name, ()) for name in groups[key])):
            having[one].append(key)
    val, train = set(), set()
    for one in sorted(having, key=lambda one: (len(having[one]), one)):
        own = having[one]
        if train.isdisjoint(own):
            train.add(next((key for key in reversed(own) if key not in val), own[-1]))
            val -= train
        if val.isdisjoint(own):
            val |= set([key for key in own if key not in train][:1])
    return val, train


def _part(content: dict, names: set[str], inside: bool) -> dict:
    images = [image for image in content["images"] if (image["file_name"] in names) == inside]
    ids = {image["id"] for image in images}
    objects = [item for item in content["annotations"] if item["image_id"] in ids]
    return {**content, "images": images, "annotations": objects}
