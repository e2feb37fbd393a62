"""Which file a listed image name means."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from mtpd.datasets.tree import Tree, folder_split, split_of

PREFIX = re.compile(r"[0-9a-f]{8,}(-[0-9a-f]{4,})*[-_](?=.*[^.]*\.)")  # of an exporter, as 1a2b3c4d-

OF_IMAGES = re.compile(r"(^|/)((jpe?g|png)?images?|imgs?|jpe?gs?|pngs?|photos)\d*/$", re.IGNORECASE)


@dataclass
class Double:
    """A listed name that fits two files.

    Attributes:
        name: as listed.
        taken, other: relative paths.
        doubtful: whether only the lengths of the paths made the choice.
    """

    name: str
    taken: str
    other: str
    doubtful: bool


class ImageNames:
    """Finds the image files of one split.

    Args:
        tree: files among which the images are.
        names: all names that the split lists.
        split: whose images are meant: folders of another split count only if most are there. None: any.
        near: the annotation file, relative to the tree: of equal folders, the nearer one is taken.

    Attributes:
        doubles: the names found so far that fit two files.
    """

    def __init__(self, tree: Tree, names: list[str], split: str | None, near: str = ""):
        self._own = [path for path in tree.images if split is None or folder_split(path) in (split, None)]
        self._by_name = _by_name(self._own)
        counts = Counter(base for name in names for base in self._bases(name))
        if split and sum(counts.values()) < len(names) / 2:  # folders that do not mean it
            self._own, self._by_name = tree.images, _by_name(tree.images)
            counts = Counter(base for name in names for base in self._bases(name))
        self._counts, self._split, self._near = counts, split, near
        self._rank = {base: self._rank_of(base) for base in counts}
        self.base = max(self._rank, key=self._rank.get, default="")
        self.doubles: list[Double] = []
        self._unclear: dict[str, list[str]] = {}
        self._loose: dict[str, list[str]] | None = None

    def _rank_of(self, base: str) -> tuple:
        """How much speaks for a folder; the last does only where nothing else makes a difference."""
        split = split_of(base) == self._split if self._split else False
        near = (_shared(base, self._near), base == self._near[: self._near.rfind("/") + 1])
        return split, self._counts[base], *near, bool(OF_IMAGES.search(base)), -len(base)

    def _bases(self, name: str) -> list[str]:
        """The folders, as ``a/b/`` or nothing, below which a file has exactly this name."""
        hits = self._by_name.get(name.rpartition("/")[2], ())
        return [hit[: len(hit) - len(name)] for hit in hits if hit == name or hit.endswith(f"/{name}")]

    def find(self, name: str) -> str | None:
        """The relative path of a listed image; None if there is none, or more than one."""
        if not (bases := self._bases(name)):
            return self._find_loosely(name)
        best, *others = sorted(bases, key=self._rank.get, reverse=True)
        if others:
            one, other = self._rank[best], self._rank[others[0]]
            equal = (one[0], *one[2:-1]) == (other[0], *other[2:-1])
            doubtful = equal and 2 * other[1] > one[1]
            self.doubles.append(Double(name, best + name, others[0] + name, doubtful))
        return best + name

    def _find_loosely(self, name: str) -> str | None:
        """By its longest ending that exists, whatever its case, its separators and its escapes."""
        if self._loose is None:
            self._loose = defaultdict(list)
            for path in self._own:
                for key in set(_keys(path)):
                    self._loose[key].append(path)
        for key in _keys(name):
            if hits := self._loose.get(key):
                return self._best(name, hits)
        return None

    def _best(self, name: str, hits: list[str]) -> str | None:
        wanted = _plain(name)
        alike = [_common_ending(wanted, _plain(hit)) for hit in hits]
        best = [hit for hit, length in zip(hits, alike, strict=True) if length == max(alike)]
        if len(best) == 1:
            return best[0]
        near = [hit for hit in best if hit.startswith(self.base) and "/" not in hit[len(self.base) :]]
        if len(near) != 1:
            self._unclear[name] = best
            return None
        other = next(hit for hit in best if hit != near[0])
        self.doubles.append(Double(name, near[0], other, doubtful=False))
        return near[0]

    def nearest(self, name: str) -> str:
        """What a message says of a name without a file."""
        if hits := self._unclear.get(name):
            return f"{name!r}, which fits {hits[0]!r} and {hits[1]!r}"
        last = name.replace("\\", "/").rpartition("/")[2]
        close = difflib.get_close_matches(last, list(self._by_name), n=1, cutoff=0.8)
        return f"{name!r}, nearest file: {self._by_name[close[0]][0]!r}" if close else repr(name)


def _by_name(paths: list[str]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for path in paths:
        found[path.rpartition("/")[2]].append(path)
    return found


def _shared(base: str, near: str) -> int:
    parts = zip(base.split("/"), near.split("/"), strict=False)
    return next((n for n, (one, other) in enumerate(parts) if one != other), base.count("/"))


def _plain(name: str) -> list[str]:
    """The parts of a name without what exporters, systems and addresses add."""
    text = urlsplit(name.strip()).path if "://" in name else name
    text = unicodedata.normalize("NFC", unquote(text).replace("\\", "/")).casefold()
    parts = (part.strip() for part in text.split("/"))
    return [part for part in parts if part not in ("", ".")] or [""]


def _keys(name: str) -> list[str]:
    """What two names of one file have in common, from the whole file name to less and less."""
    last = _plain(name)[-1]
    bare = PREFIX.sub("", last, count=1)
    return list(dict.fromkeys([last, bare, PurePosixPath(last).stem + ".", PurePosixPath(bare).stem + "."]))


def _common_ending(one: list[str], other: list[str]) -> int:
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
