"""What ``data.yaml`` of YOLO data says: classes, and where the images of each split are."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import yaml

from mtpd.datasets.changes import Changes
from mtpd.datasets.names import ImageNames
from mtpd.datasets.tree import KINDS, Tree, split_of

SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
CLASS_FILES = ("classes.txt", "obj.names", "_darknet.labels", "class.names")


@dataclass
class Settings:
    """What ``data.yaml``, or the files in its place, say.

    Attributes:
        file: where it stands; None if there is none.
        names: classes in order; None if they have no names.
        named_in: the file that has the names.
        splits: folders and lists of images by split, as written there.
        keypoints: numbers that follow each box.
    """

    file: str | None = None
    names: list[str] | None = None
    named_in: str | None = None
    splits: dict[str, list[str]] = field(default_factory=dict)
    keypoints: int = 0


def settings_of(tree: Tree, changes: Changes) -> Settings:
    """The settings of the YOLO data in a folder."""
    found, broken = _first_settings(tree)
    if not found.names:
        _read_class_file(found, tree)
    for text in broken:
        if found.names:
            changes.note(f"{text}: not read")
        else:
            changes.stop(f"{text}: correct it, because nothing else names the classes")
    return found


def _first_settings(tree: Tree) -> tuple[Settings, list[str]]:
    """What the first file of settings says, and what is wrong with those before it."""
    broken = []
    for path in sorted(
        tree.of_kind(".yaml", ".yml"), key=lambda path: (path.count("/"), "data" not in path, path)
    ):
        content, problem = _parsed(tree.folder / path)
        if problem:
            broken.append(f"{path} is not YAML ({problem})")
        elif isinstance(content, dict) and ("names" in content or {"train", "val"} <= content.keys()):
            return _settings(path, content), broken
    return Settings(), broken


def _read_class_file(settings: Settings, tree: Tree) -> None:
    """Take the classes that a text file lists, a name a line."""
    kinds = {PurePosixPath(name).suffix for name in CLASS_FILES}
    files = [path for path in tree.of_kind(*kinds) if PurePosixPath(path).name.lower() in CLASS_FILES]
    if not files:
        return
    settings.named_in = min(files, key=lambda path: (path.count("/"), path))
    lines = (tree.folder / settings.named_in).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    settings.names = [line.strip() for line in lines if line.strip()] or None


def folder_elsewhere(settings: Settings, tree: Tree) -> Path | None:
    """The folder outside of the given one that all entries are in, if it is there."""
    beside = (tree.folder / (settings.file or "")).parent
    entries = [beside / entry for entries in settings.splits.values() for entry in entries]
    there = [os.path.abspath(entry) for entry in entries if entry.exists()]
    if not there:
        return None
    common = Path(os.path.commonpath(there))
    while KINDS.fullmatch(common.name.lower()):  # labels are beside images/
        common = common.parent
    return common


def _parsed(path: Path) -> tuple[object, str]:
    """The first document, all scalars as text: a class may be called ``no`` or ``1``; and what is wrong."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for attempt in (text, text.replace("\\", "/")):
        try:
            return next(iter(yaml.load_all(attempt, Loader=yaml.BaseLoader)), None), ""
        except yaml.MarkedYAMLError as error:
            problem = f"line {error.problem_mark.line + 1}: {error.problem}"
        except yaml.YAMLError as error:  # characters that no YAML has
            problem = str(error).splitlines()[0]
    return None, problem


def _settings(path: str, content: dict) -> Settings:
    found = Settings(path, _names(content.get("names")), path)
    for split, keys in SPLITS.items():
        entry = next((content[key] for key in keys if content.get(key)), None)
        entries = entry if isinstance(entry, list) else [entry] if isinstance(entry, str) else []
        base = content.get("path") or ""
        found.splits[split] = [str(PurePosixPath(base, one.replace("\\", "/"))) for one in entries if one]
    shape = content.get("kpt_shape")
    if isinstance(shape, list) and all(map(str.isdecimal, shape)):
        found.keypoints = math.prod(map(int, shape))
    return found


def _names(names) -> list[str] | None:
    if isinstance(names, str):
        names = [name for name in names.strip("[]").split(",")]
    if isinstance(names, dict):
        if not all(key.strip().isdecimal() for key in names):
            return list(map(str, names.values()))
        given = {int(key): str(name) for key, name in names.items()}
        return [given.get(number, f"class-{number}") for number in range(max(given) + 1)]
    return [str(name).strip().strip("'\"") for name in names] if names else None


def images_of(entries: list[str], tree: Tree, settings_file: str | None) -> list[str]:
    """The images that the entries of one split name: folders, or text files with a name a line."""
    found: dict[str, None] = {}
    for entry in entries:
        if entry.lower().endswith(".txt"):
            found |= dict.fromkeys(_listed(entry, tree))
        elif (folder := _folder(entry, tree, settings_file)) is not None:
            found |= dict.fromkeys(path for path in tree.images if path.startswith(folder))
    return list(found)


def _parts(entry: str) -> list[str]:
    return [part for part in entry.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def _folder(entry: str, tree: Tree, settings_file: str | None) -> str | None:
    """The folder, as ``a/b/``, that an entry names: by its longest ending that has images below.

    An ending without the entry's word for its split is not enough: all splits have a folder ``images``.
    """
    folders = {f"{parent}/" for path in tree.images for parent in PurePosixPath(path).parents}
    beside = PurePosixPath(settings_file or "").parent
    parts = _parts(entry)
    for start in range(len(parts)):
        ending = "/".join(parts[start:])
        if split_of(ending) != split_of("/".join(parts)):
            return None
        if (own := f"{beside / ending}/") in folders:
            return own
        if hits := [folder for folder in folders if f"/{folder}".endswith(f"/{ending}/")]:
            return min(hits, key=lambda folder: (folder.count("/"), folder))
    return None


def _listed(entry: str, tree: Tree) -> list[str]:
    """The images that a text file lists; those that are not there are left in, as they are written."""
    last = _parts(entry)[-1]
    lists = [path for path in tree.of_kind(".txt") if PurePosixPath(path).name == last]
    if not lists:
        return []
    lines = (tree.folder / min(lists, key=len)).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    listed = [line.strip() for line in lines if line.strip()]
    names = ImageNames(tree, listed, None)
    return [names.find(name) or name for name in listed]
