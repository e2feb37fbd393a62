"""The files of a folder, walked once, and the split that their paths name."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath

# What image files end with. OpenCV cannot read all of them; these then count as images that cannot be used.
IMAGES = re.compile(
    r"\.(jpe?g|jpe|jfif|png|bmp|dib|tiff?|webp|p[pgbn]m|jp2|gif|avif|heic|tga|pcx)$", re.IGNORECASE
)
ARCHIVE = re.compile(r"\.(zip|tar|tgz|tar\.\w+|gz|bz2|xz|zst|rar|7z)$", re.IGNORECASE)
SKIPPED = frozenset({"__macosx", "runs", "wandb", "mlruns", "node_modules", "__pycache__"})
WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
# Folders that say what is in them, not what it belongs to.
KINDS = re.compile(
    "(jpe?g|png)?images?|imgs?|jpe?gs?|pngs?|photos|label(s|txt|s_txt)?|ann(s|ots?|otations?)|xmls?|voc|yolo|txts?"
)


class Tree:
    """The files below a folder, as relative POSIX paths in order; no hidden folders, no trainer's runs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.files = sorted(_walk(folder))
        self.images = [name for name in self.files if IMAGES.search(name)]
        self._by_suffix: dict[str, list[str]] = defaultdict(list)
        for name in self.files:
            self._by_suffix[_suffix(name)].append(name)

    def of_kind(self, *suffixes: str) -> list[str]:
        return sorted(name for suffix in suffixes for name in self._by_suffix.get(suffix, ()))


def _walk(folder: str | Path, relative: str = "", above: tuple[str, ...] = ()) -> Iterable[str]:
    if (real := os.path.realpath(folder)) in above:  # a link to a folder above
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir():
                is_data = entry.is_file() and not entry.name.startswith(("._", ".#"))  # no link to nothing
                yield from (relative + entry.name,) if is_data else ()
            elif entry.name[0] != "." and entry.name.lower() not in SKIPPED:
                yield from _walk(entry.path, f"{relative}{entry.name}/", (*above, real))


def _suffix(name: str) -> str:
    last = name.rpartition("/")[2]  # as PurePosixPath has it, which is slow for a million files
    place = last.rfind(".")
    return last[place:].lower() if 0 < place < len(last) - 1 else ""


def split_of(path: str) -> str | None:
    """The split that a relative path names: the word nearest to its end; ``trainval`` is none."""
    for part in reversed(PurePosixPath(path).parts):
        found = re.findall("[A-Z]?[a-z]+|[A-Z]+", part)
        words = {WORDS[word.lower()] for word in found if word.lower() in WORDS}
        if len(words) == 1:
            return words.pop()
    return None


def folder_split(path: str) -> str | None:
    """The split that the folders of a file name."""
    return _split_of_folder(path.rpartition("/")[0])


_split_of_folder = lru_cache(maxsize=1000)(split_of)


def place_of(path: str) -> tuple[str, ...]:
    """What an image and its label have in common: folders but ``KINDS``, and the name without its suffix."""
    whole = PurePosixPath(path)
    return (*(part.lower() for part in whole.parent.parts if not KINDS.fullmatch(part.lower())), whole.stem)


class Labels:
    """The label files of images, by the folders and names that both have.

    Attributes:
        doubles: a second file for the same images, by the first one, which is taken.
    """

    def __init__(self, labels: Iterable[str]):
        self._by_place: dict[tuple, str] = {}
        self._by_stem: dict[str, list[str]] = {}
        self.doubles: dict[str, str] = {}
        for path in labels:
            first = self._by_place.setdefault(place_of(path), path)
            if first != path:
                self.doubles.setdefault(first, path)
            self._by_stem.setdefault(PurePosixPath(path).stem, []).append(path)

    def of(self, path: str) -> str | None:
        """The partner of a file; where folders differ, one of the same name that no other split has."""
        if not self._by_stem:
            return None
        if (place := place_of(path)) in self._by_place:
            return self._by_place[place]
        split = folder_split(path)
        stems = self._by_stem.get(place[-1], ())
        same = [other for other in stems if split is None or folder_split(other) in (split, None)]
        return same[0] if len(same) == 1 else None
