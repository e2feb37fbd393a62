"""Which annotations are in a folder: their form, and the split that each of them is of."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mtpd.datasets import coco, voc, yolo, yolo_settings
from mtpd.datasets.changes import NAMED, Changes
from mtpd.datasets.tree import ARCHIVE, WORDS, Labels, Tree, folder_split, split_of
from mtpd.datasets.yolo_settings import Settings


@dataclass
class Source:
    """The annotations of one split.

    Attributes:
        form: ``COCO``, ``YOLO`` or ``VOC``.
        split: what its path says: ``train``, ``val``, ``test`` or None.
        where: annotation file or folder, relative to the tree.
        files: YOLO: images; VOC: XML files.
        labels, settings: of YOLO.
        classes: of VOC.
    """

    form: str
    split: str | None
    where: str
    tree: Tree
    files: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    classes: list[str] = field(default_factory=list)
    explicit: bool = False

    @property
    def path(self) -> Path:
        return Path(os.path.normpath(self.tree.folder / self.where))

    def read(self, changes: Changes) -> dict | None:
        """The content, as it is; None after a stop."""
        if self.form == "COCO":
            return coco.read(self.path, changes)
        if self.form == "VOC":
            return voc.read(self.files, self.classes, self.tree, changes)
        return yolo.read(self.files, self.labels, self.settings, self.tree.folder, changes)


def sources(tree: Tree, changes: Changes) -> list[Source]:
    """The annotations in a folder, of one form: the first of COCO, YOLO, VOC that has a set to train with."""
    told = {form: Changes(changes.where) for form in ("YOLO", "VOC")}
    forms = {"COCO": _coco(tree), "YOLO": _yolo(tree, told["YOLO"]), "VOC": _voc(tree, told["VOC"])}
    found = {form: sources for form, sources in forms.items() if sources}
    if not found:
        changes.stop(_nothing(tree))
        return []
    usable = [form for form, sources in found.items() if {one.split for one in sources} & {"train", None}]
    taken = (usable or list(found))[0]
    if others := [form for form in found if form != taken]:
        changes.note(f"took the {taken} annotations; there are {' and '.join(others)} annotations too")
    if taken in told:
        changes.notes += told[taken].notes
        changes.stops += told[taken].stops
    return found[taken]


def _nothing(tree: Tree) -> str:
    kinds: dict[str, int] = {}
    for name in tree.files:
        suffix = PurePosixPath(name).suffix.lower() or "no suffix"
        kinds[suffix] = kinds.get(suffix, 0) + 1
    there = ", ".join(f"{count} {suffix}" for suffix, count in sorted(kinds.items())) or "no file"
    forms = "COCO (*.json), YOLO (labels/*.txt) or VOC (*.xml)"
    packed = [name for name in tree.files if ARCHIVE.search(name)]
    told = f"; unpack {', '.join(packed[:NAMED])} first" if packed else ""
    return f"{tree.folder} has no annotations in the form of {forms}; found {there}{told}"


def _coco(tree: Tree) -> list[Source]:
    files = [path for path in tree.of_kind(".json") if coco.is_coco(tree.folder / path)]
    boxes = [path for path in files if not coco.OTHER_TASKS.search(PurePosixPath(path).name.lower())]
    return [Source("COCO", split_of(path), path, tree) for path in boxes or files]


def _yolo(tree: Tree, changes: Changes) -> list[Source]:
    settings = yolo_settings.settings_of(tree, changes)
    if not tree.images and (elsewhere := yolo_settings.folder_elsewhere(settings, tree)):
        changes.note(f"{settings.file} names images in {os.path.relpath(elsewhere, tree.folder)}")
        tree = Tree(elsewhere)
    labels = yolo.labels_of(tree, changes)
    lonely = yolo.lonely_labels(tree, labels)
    if not any((tree.folder / label).stat().st_size for label in [*labels.values(), *lonely]):
        return []
    if settings.names is None:
        settings.names = yolo.numbered_classes(labels, tree.folder)
        changes.note(f"YOLO classes have no names (no data.yaml): called {', '.join(settings.names)}")
    by_folder = _images_by_split(tree, labels)
    groups = _named_in_settings(tree, settings, by_folder, changes) or by_folder
    if empty := [image for images in groups.values() for image in images if image not in labels]:
        changes.note(f"{len(empty)} images have no label file, so no objects ({', '.join(empty[:3])})")
    for path in lonely:  # their images are missing
        groups.setdefault(folder_split(path), []).append(str(PurePosixPath(path).with_suffix(".jpg")))
    return [
        Source("YOLO", split, _common_folder(images), tree, images, labels, settings)
        for split, images in groups.items()
    ]


def _named_in_settings(tree: Tree, settings: Settings, by_folder: dict, changes: Changes) -> dict:
    """Images by split as data.yaml says; nothing if it names no images to train with."""
    groups: dict[str | None, list[str]] = {}
    for split, entries in settings.splits.items():
        if images := yolo_settings.images_of(entries, tree, settings.file):
            groups[split] = images
        elif split in by_folder:
            groups[split] = by_folder[split]
            changes.note(f"{settings.file}: {split}: {entries or 'not named'}: taken by the names of folders")
        elif entries:
            changes.note(f"{settings.file}: {split}: {', '.join(entries)} is not there")
    if "train" not in groups:
        return {}
    if groups.get("val") == groups["train"]:
        changes.note(f"{settings.file}: train and val are the same images: taken as one set")
        del groups["val"]
    return groups


def _images_by_split(tree: Tree, labels: dict[str, str]) -> dict[str | None, list[str]]:
    """Images with labels, and those beside them, by their folders, or by lists like train.txt."""
    folders = {PurePosixPath(path).parent for path in labels}
    images = [path for path in tree.images if PurePosixPath(path).parent in folders]
    groups = _grouped(images, labels)
    lists = _lists(tree)
    if list(groups) == [None] and "train" in lists:
        return {split: yolo_settings.images_of([path], tree, None) for split, path in lists.items()}
    return groups


def _grouped(paths: list[str], partners: dict[str, str]) -> dict[str | None, list[str]]:
    """Files by the split that their folders name, or those of their partners."""
    groups: dict[str | None, list[str]] = {}
    for path in paths:
        split = folder_split(path) or folder_split(partners.get(path, ""))
        groups.setdefault(split, []).append(path)
    return groups


def _lists(tree: Tree) -> dict[str, str]:
    """Text files that list a split's images: train.txt, of several that in Main/."""
    found: dict[str, str] = {}
    for path in sorted(tree.of_kind(".txt"), key=lambda path: ("/Main/" not in path, path.count("/"), path)):
        if split := WORDS.get(PurePosixPath(path).stem.lower()):
            found.setdefault(split, path)
    return found


def _common_folder(paths: list[str]) -> str:
    first, last = min(paths).split("/")[:-1], max(paths).split("/")[:-1]
    same = next(
        (n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )
    return "/".join(first[:same])


def _voc(tree: Tree, changes: Changes) -> list[Source]:
    files = voc.files_of(tree)
    if not files:
        return []
    classes, partners = voc.classes_of(files, tree), _partners(files, tree)
    folders, used = {PurePosixPath(path).parent for path in partners.values()}, set(partners.values())
    if others := [path for path in tree.images if path not in used and PurePosixPath(path).parent in folders]:
        changes.note(f"{len(others)} images have no XML file: not read ({', '.join(others[:3])})")
    groups = _listed(files, tree, changes) or _grouped(files, partners)
    return [
        Source("VOC", split, _common_folder(paths), tree, paths, classes=classes)
        for split, paths in groups.items()
    ]


def _partners(files: list[str], tree: Tree) -> dict[str, str]:
    images = Labels(tree.images)
    return {path: image for path in files if (image := images.of(path))}


def _listed(files: list[str], tree: Tree, changes: Changes) -> dict[str | None, list[str]]:
    """XML files by the lists of ImageSets; nothing without a list to train with."""
    by_stem = {PurePosixPath(path).stem: path for path in files}
    groups: dict[str | None, list[str]] = {}
    for split, path in _lists(tree).items():
        lines = (tree.folder / path).read_text(encoding="utf-8-sig", errors="replace").splitlines()
        names = [_stem(line.strip(), by_stem) for line in lines if line.strip()]
        if absent := [name for name in names if name not in by_stem]:
            changes.note(
                f"{path}: {len(absent)} of {len(names)} names have no XML file ({', '.join(absent[:3])})"
            )
        if known := [by_stem[name] for name in names if name in by_stem]:
            groups[split] = known
    return groups if "train" in groups else {}


def _stem(line: str, known: dict[str, str]) -> str:
    """The name in a line that may have a suffix, folders, and a number behind it."""
    for text in (line, line.split()[0]):
        last = text.replace("\\", "/").rpartition("/")[2]
        for name in (last, PurePosixPath(last).stem):
            if name in known:
                return name
    return line
