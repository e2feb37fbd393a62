"""What is in a folder of data, as far as an import looks at it; needs no more than Python."""

from __future__ import annotations

import os
from pathlib import Path

from mtpd import files
from mtpd.datasets import yolo_settings
from mtpd.datasets.changes import Changes
from mtpd.datasets.tree import IMAGES, Tree

ANNOTATIONS = (".json", ".txt", ".xml", ".yaml", ".yml")  # files that an import reads


def digest(folder: str | Path) -> str | None:
    """Twelve hex digits of the content of annotation files, and of names, sizes and times of images.

    Where the folder lies does not count. Annotations are read again only if some size or time has changed;
    the result is kept in ``work/hashes``. None if there is no folder, or nothing of that in it.
    """
    if not Path(folder).is_dir():
        return None
    tree = Tree(Path(folder))
    read = frozenset(tree.of_kind(*ANNOTATIONS))
    found = [name for name in tree.files if name in read or IMAGES.search(name)]
    if not found:
        return None
    seen = [_row(tree.folder / name, name) for name in found]
    kept = files.HASHES / f"{files.fingerprint([os.path.abspath(folder), seen])}.txt"
    if not kept.exists():
        rows = [
            [name, files.sha256(tree.folder / name)] if name in read else [name, *row] for name, *row in seen
        ]
        files.write_text(kept, files.fingerprint(rows))
    own = kept.read_text(encoding="utf-8")
    elsewhere = None if tree.images else _elsewhere(tree)
    return files.fingerprint([own, digest(elsewhere)]) if elsewhere else own


def _elsewhere(tree: Tree) -> Path | None:
    """The folder outside that the ``data.yaml`` of a folder without images names."""
    return yolo_settings.folder_elsewhere(yolo_settings.settings_of(tree, Changes("")), tree)


def _row(path: Path, name: str) -> tuple[str, int, int]:
    status = path.stat()
    return name, status.st_size, status.st_mtime_ns
