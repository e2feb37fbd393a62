"""Which of the annotations in a folder are those of each split."""

from __future__ import annotations

import os
from pathlib import Path

from mtpd.datasets import coco, find
from mtpd.datasets.changes import Changes
from mtpd.datasets.tree import ARCHIVE, KINDS, WORDS, Tree

ORDER = ("train", "val", "test")  # the training split tells the classes of the others

# What to give where a folder has too much.
EXPLICIT = (
    "dataset.train.annotations and dataset.train.images, and the same of dataset.val,"
    " in place of dataset.source"
)


def sources_of(settings: dict, changes: Changes) -> dict[str | None, find.Source]:
    """The annotations of each split; under None, those of a single set."""
    if settings.get("source"):
        folder = Path(settings["source"]).expanduser()
        if stop := no_folder(folder):
            changes.stop(f"dataset.source: {stop}")
            return {}
        found = find.sources(Tree(folder), changes)
        return {} if changes.stops else _one_for_each_split(found, changes)
    return {name: _explicit(settings[name], name, changes) for name in ORDER if settings.get(name)}


def no_folder(path: Path) -> str | None:
    """Why a path is no folder of data, and what to give in its place; None if it is one."""
    if path.is_dir():
        return None
    if not path.exists():
        return f"{path}: no such folder"
    if ARCHIVE.search(path.name):
        return f"{path} is an archive: unpack it, and give the folder that it becomes"
    whole = path.parent
    while KINDS.fullmatch(whole.name.lower()) or whole.name.lower() in WORDS:
        whole = whole.parent
    return f"{path} is a file: give the folder that has the annotations and the images, perhaps {whole}"


def _explicit(split: dict, name: str, changes: Changes) -> find.Source | None:
    annotations, images = Path(split["annotations"]).expanduser(), Path(split["images"]).expanduser()
    if not annotations.is_file():
        changes.stop(
            f"dataset.{name}.annotations: {annotations}: no such file (for YOLO or VOC, give dataset.source)"
        )
    if not images.is_dir():
        changes.stop(f"dataset.{name}.images: {images}: no such folder")
    if changes.stops:
        return None
    where = os.path.relpath(annotations, images)
    return find.Source("COCO", name, where, Tree(images), explicit=True)


def _one_for_each_split(found: list[find.Source], changes: Changes) -> dict[str | None, find.Source]:
    by_split: dict[str | None, list[find.Source]] = {}
    for source in found:
        by_split.setdefault(source.split, []).append(source)
    if None in by_split and "train" not in by_split and len(by_split) > 1:
        by_split["train"] = by_split.pop(None)
        for source in by_split["train"]:
            source.split = "train"
        changes.note(f"{by_split['train'][0].where} names no split: taken for train, as others name theirs")
    if None in by_split and "train" in by_split and len(by_split) > 2:
        changes.note(f"{', '.join(one.where for one in by_split.pop(None))}: names no split: not read")
    if None in by_split and len(by_split) > 1:
        told = ", ".join(one.where for one in found)
        changes.stop(
            f"which files are train and val? {told}; name the files so (train.json, val.json), or give"
            f" {EXPLICIT}"
        )
        return {}
    chosen = {split: _same_or_stop(split, several, changes) for split, several in by_split.items()}
    return _with_val(chosen, changes)


def _same_or_stop(split: str | None, several: list[find.Source], changes: Changes) -> find.Source:
    """One of several annotation files that hold the same objects; else a stop."""
    first, *others = several
    known = _objects(first) if others else set()
    for other in others:
        if not known or _objects(other) != known:
            changes.stop(
                f"two annotation files for {split or 'one set'}, with different objects: {first.path} and"
                f" {other.path}; take the wrong one out of the folder, or say which you mean: give"
                f" {EXPLICIT}"
            )
        else:
            changes.note(f"{other.where} holds the same objects as {first.where}: not read")
    return first


def _objects(source: find.Source) -> set[int]:
    """Nothing if the file cannot be read."""
    content = source.read(Changes(source.where))
    return coco.objects_of(content) if content else set()


def _with_val(chosen: dict[str | None, find.Source], changes: Changes) -> dict[str | None, find.Source]:
    if len(chosen) == 1:
        return {None: next(iter(chosen.values()))}
    if "train" not in chosen:
        changes.stop(f"found {' and '.join(map(str, chosen))}, but nothing to train with")
    elif "val" not in chosen:
        changes.note("no val split: test is used as val")
        chosen["val"] = chosen.pop("test")
    return chosen
