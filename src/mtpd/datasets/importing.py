"""A data set as people have it, imported: one clean COCO file for each split, and what was changed."""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mtpd import files
from mtpd.datasets import (
    boxes,
    choosing,
    classes,
    content_hash,
    find,
    ids,
    images,
    listing,
    masks,
    splitting,
    texts,
    yolo,
)
from mtpd.datasets.changes import Changes, ImportStopped
from mtpd.datasets.converting import convert
from mtpd.datasets.names import ImageNames
from mtpd.images import FOLDER

ALLOWED_SHARE = 0.05  # of images or objects that may be left out
VAL_FRACTION = 0.2
REPORT = "import.json"
PLACES = {"source", *choosing.ORDER}  # settings that say where data lie
KNOWN = {"train": "training", "val": "validation"}  # what images of an earlier split were used for


def images_of(settings: dict, split: str) -> Path:
    """The folder that names of images begin at: the ``source``, or what was given with the split."""
    own = settings.get(split) or settings.get("train") or {}
    return Path(settings.get("source") or own["images"]).expanduser()


def import_dataset(settings: dict, folder: Path, say: Callable[[str], None] = print) -> dict:
    """Read a data set in any form that is known, and write it in one.

    Args:
        settings: ``source`` (a folder), or ``train`` and perhaps ``val`` and ``test`` with ``annotations``
            and ``images``. Optional: ``val_fraction``, ``seed``, ``classes`` (see ``classes.choose``),
            ``strict``, ``decode``, ``allowed_share``.
        folder: gets ``train.json``, ``val.json``, perhaps ``test.json``, ``import.json``, and the images that
            are converted (see ``mtpd.images``).
        say: takes lines of text: progress, and at the end what was changed.

    Returns:
        What ``import.json`` holds. It does not say where the data lie, so it stays true where they are moved.
        ``content`` of a split is a hash of all that counts of it.

    Raises:
        ImportStopped: for all reasons at once. The folder is then as it was.
    """
    whole = Changes("data set")
    sources = choosing.sources_of(settings, whole)
    if whole.stops:
        raise ImportStopped(whole.stops)
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".importing.", dir=folder) as made:
        done = _Import(settings, whole, Path(made), say)
        with texts.no_collector():
            report = done.run(sources)
        files.write_json(Path(made) / REPORT, report)
        _replace(Path(made), Path(folder))
    for line in report["text"]:
        say(line)
    return report


def _replace(made: Path, folder: Path) -> None:
    """Put what was made in the place of what is there, file by file, so that whoever reads finds all of them.

    The report is the last: with it, all is there.
    """
    found = [path.relative_to(made) for path in made.rglob("*") if path.is_file()]
    for name in sorted(found, key=lambda name: str(name) == REPORT):
        (folder / name).parent.mkdir(exist_ok=True)
        (made / name).replace(folder / name)
    for path in (*folder.glob("*.json"), *folder.glob(f"{FOLDER}/*")):
        if path.relative_to(folder) not in found:
            path.unlink(missing_ok=True)


def _rename(content: dict, folder: str) -> None:
    """Begin the names of images with a folder."""
    for image in content["images"]:
        image["file_name"] = os.path.normpath(os.path.join(folder, image["file_name"]))


def _without_place(text: str, folder: Path) -> str:
    """A text that is kept, without the folder of the data: next time they may lie elsewhere."""
    own = rf"(?<!\S){re.escape(str(folder))}"
    return re.sub(rf"{own}(?=[\s,;]|$)", "the folder of the data", re.sub(f"{own}/", "", text))


class _Import:
    """One import: the splits one after the other, so that only one of them is in memory."""

    def __init__(self, settings: dict, whole: Changes, folder: Path, say: Callable[[str], None]):
        self.settings, self.whole, self.folder, self.say = settings, whole, folder, say
        self.decode = settings.get("decode", "all")  # else nothing is known of what images show
        self.allowed = settings.get("allowed_share", ALLOWED_SHARE)
        self.changes: dict[str, Changes] = {}
        self.splits: dict[str, dict] = {}
        self.digests: dict[str, dict[str, str]] = {}
        self.categories: list[dict] = []
        self.learnt: set[str] = set()
        self.names: dict[str, None] = {}  # of all classes, in their order
        self.lacking: set[str] | None = None  # names in ``classes`` that no split has had so far

    def run(self, sources: dict[str | None, find.Source]) -> dict:
        if len(sources) == 1:
            self._one_set(next(iter(sources.values())))
        else:
            for name in sorted(sources, key=choosing.ORDER.index):
                self._split(name, sources[name])
        stops = self.whole.stops + [stop for changes in self.changes.values() for stop in changes.stops]
        if self.lacking and not stops:
            stops = [classes.unknown(self.lacking, self.names)]
        if stops:
            raise ImportStopped(stops)
        return self._report()

    def _read(self, name: str, source: find.Source) -> tuple[dict, Path] | None:
        """A split in clean form, and the folder of its images; None after a stop."""
        changes = self.changes[name] = Changes(name)
        self.say(f"{name}: reading {source.path} ({source.form})")
        content = source.read(changes)
        if source.form == "YOLO":
            yolo.check_labels(source.files, source.labels, source.tree, self.allowed, changes)
        root = content and self._cleaned(content, source, changes)
        if not changes.stops:
            self._compare(name, content, changes)
        if not changes.stops:
            self._judge(content, changes)
        return None if changes.stops else (content, root)

    def _judge(self, content: dict, changes: Changes) -> None:
        """Stop if too much was left out or, where that is asked for, if anything was changed."""
        changes.check_share(self.allowed)
        if not changes.stops and all(item["iscrowd"] for item in content["annotations"]):
            changes.stop("has no objects that can be used")
        if not changes.stops and self.settings.get("strict"):
            changes.refuse_changes()

    def _cleaned(self, content: dict, source: find.Source, changes: Changes) -> Path | None:
        changes.totals["images"] += len(content["images"])
        changes.totals["objects"] += len(content["annotations"])
        names = [str(image.get("file_name")) for image in content["images"]]
        split = None if source.explicit or source.form != "COCO" else source.split
        found = ImageNames(source.tree, names, split, source.where)
        look = partial(images.look, decode=self.decode, say=self.say)
        ids.tidy(content, changes)
        root = None if changes.stops else listing.tidy(content, source.tree, found, look, changes)
        if root is None or changes.stops:
            return None
        convert(content, self.folder, changes)
        if source.form == "YOLO":
            yolo.to_pixels(content)
        masks.tidy_form(content, changes)
        boxes.tidy(content, source.form, changes)
        if not changes.stops:
            masks.tidy(content, self.allowed, self.decode == "all", changes)
            classes.tidy(content, yolo.FIRST_ID if source.form == "YOLO" else 0, changes)
        if not changes.stops:
            self.names |= dict.fromkeys(category["name"] for category in content["categories"])
            lacking = classes.choose(content, self.settings.get("classes"), bool(self.categories), changes)
            classes.tell_alike(content, changes)
            self.lacking = lacking if self.lacking is None else self.lacking & lacking
        return root

    def _one_set(self, source: find.Source) -> None:
        read = self._read("train", source)
        if read is None:
            return
        fraction, seed = self.settings.get("val_fraction", VAL_FRACTION), self.settings.get("seed", 0)
        parts = splitting.split(read[0], fraction, seed, self.whole)
        for name, content in zip(("train", "val"), parts, strict=True):
            self._write(name, content, read[1], source)

    def _split(self, name: str, source: find.Source) -> None:
        read = self._read(name, source)
        changes = self.changes[name]
        if name == "test" and changes.stops and not (source.explicit or self.settings.get("strict")):
            why = _without_place("; ".join(changes.stops), source.tree.folder)
            self.whole.note(f"the test split is left out: {why}")
            del self.changes[name]
        elif read and not changes.stops:
            self._write(name, read[0], read[1], source)

    def _compare(self, name: str, content: dict, changes: Changes) -> None:
        """Give the later splits the classes of training, and leave out images that an earlier split has."""
        if self.categories:
            classes.align(content, self.categories, self.learnt, name == "test", changes)
        own = {image["_digest"]: image["file_name"] for image in content["images"]}
        for other, digests in self.digests.items():
            shared = [one["file_name"] for one in content["images"] if one["_digest"] in digests]
            for path in shared:
                why = f"because a score on {KNOWN[other]} images says nothing"
                changes.leave_out("images", f"that are also in {other}, {why}", path)
            listing.keep(content, [one for one in content["images"] if one["_digest"] not in digests])
            originals = {splitting.original(Path(path).name) for path in digests.values()}
            named = [Path(path).name for digest, path in own.items() if digest not in digests]
            if copies := [path for path in named if ".rf." in path and splitting.original(path) in originals]:
                changes.note(
                    f"{len(copies)} images are copies of an image in {other}, by their names ({copies[0]})"
                )
        self.digests[name] = own

    def _write(self, name: str, content: dict, root: Path, source: find.Source) -> None:
        seen = [image.pop("_digest", None) for image in content["images"]]
        names = {category["id"]: category["name"] for category in content["categories"]}
        counts = Counter(names[item["category_id"]] for item in content["annotations"])
        if not self.categories:
            learnt = {item["category_id"] for item in content["annotations"] if not item["iscrowd"]}
            self.categories, self.learnt = content["categories"], {names[number] for number in learnt}
        _rename(content, os.path.relpath(root, images_of(self.settings, name)))
        path = self.folder / f"{name}.json"
        texts.write(path, content)
        self.splits[name] = {
            "content": content_hash.of_split(name, content, path, seen if self.decode == "all" else None),
            "form": source.form,
            "source": Path(source.where).name if source.explicit else source.where or ".",
            "images": len(content["images"]),
            "objects": len(content["annotations"]),
            "classes": {name: counts[name] for name in names.values()},
        }

    def _report(self) -> dict:
        text = [f"{self.whole.where}: {note}" for note in self.whole.notes]
        for changes in self.changes.values():
            text += changes.lines()
        return {
            "settings": {key: value for key, value in self.settings.items() if key not in PLACES},
            "splits": self.splits,
            "notes": self.whole.notes,
            "changes": {name: changes.summary() for name, changes in self.changes.items()},
            "text": text,
        }
