"""What is in a folder of data, as far as an import looks at it; needs no more than Python."""

from __future__ import annotations

import os
from pathlib import Path

from mtpd import files
from mtpd.datasets.tree import IMAGES, Tree

ANNOTATIONS = (".json", ".txt", ".xml", ".yaml", ".yml")  # files that an import reads


def digest(folder: str | Path) -> str | None:
    """Twelve hex digits of the content of annotation files, and of names and sizes of images.

    Where the folder lies does not count. Files are read again only if some size or time has changed; the
    result is kept in ``work/hashes``. None if there is no folder, or nothing of that in it.
    """
    if not Path(folder).is_dir():
        return None
    tree = Tree(Path(folder))
    read = frozenset(tree.of_kind(*ANNOTATIONS))
    found = [name for name in tree.files if name in read or IMAGES.search(name)]
    if not found:
        return None
    seen = [_row(tree.folder / name, name, name in read) for name in found]
    kept = files.HASHES / f"{files.fingerprint([os.path.abspath(folder), seen])}.txt"
    if not kept.exists():
        content = [
            [name, files.sha256(tree.folder / name) if name in read else size] for name, size, _ in seen
        ]
        files.write_text(kept, files.fingerprint(content))
    return kept.read_text(encoding="utf-8")


def _row(path: Path, name: str, read: bool) -> tuple[str, int, int]:
    """Name, size, and the time of a file whose content counts."""
    try:
        status = path.stat()
    except OSError:  # a link to nothing
        return name, 0, 0
    return name, status.st_size, status.st_mtime_ns if read else 0
