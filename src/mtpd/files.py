"""Small files: written atomically, and identified by their hash."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

LARGE = 20 * 2**20  # bytes; reading less takes no time
HASHES = Path("work/hashes")


def write_text(path: str | Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, content: bytes) -> None:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    partial.write_bytes(content)
    partial.replace(path)


def _partial(path: Path) -> Path:
    """Machines that share a folder can have processes of the same number: so a random name."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")


def write_json(path: str | Path, content: Any, indent: int | None = 1) -> None:
    """Write JSON that people can read, or, for hundreds of thousands of rows, without indentation (``None``).

    Only ``dumps`` without indentation uses json's encoder in C.
    """
    write_text(path, json.dumps(content, indent=indent) + "\n")


def read_json(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def sha256(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: str | Path) -> str | None:
    """The hash of a file, read once for each size and time of it; None if it is not there.

    That of a large file is kept in ``work/hashes``, so that not every job of a cluster reads it again.
    """
    try:
        status = os.stat(path)
    except OSError:
        return None
    return _known_sha256(os.path.abspath(path), status.st_size, status.st_mtime_ns)


@cache
def _known_sha256(path: str, *version: int) -> str:
    if version[0] < LARGE:
        return sha256(path)
    kept = HASHES / f"{fingerprint([path, *version])}.txt"
    if not kept.exists():
        write_text(kept, sha256(path))
    return kept.read_text(encoding="utf-8")


def require_hash(path: str | Path, expected: str) -> None:
    """Check that the SHA-256 of a file begins with these hex digits; with none of them, nothing is checked.

    Raises:
        ValueError: it does not.
    """
    if expected and (wrong := what_is_wrong(path, expected)):
        raise ValueError(f"{path}: {wrong}")


def what_is_wrong(path: str | Path, expected: str) -> str:
    """Why this is not the file whose SHA-256 begins with these hex digits ('' if unknown); '' if it is."""
    if instead := what_instead(path):
        return instead
    found = sha256(path)
    if found.startswith(expected):
        return ""
    return f"found SHA-256 {found[:16]}..., expected {expected}: not the expected file"


def what_instead(path: str | Path) -> str:
    """What often lies in the place of a checkpoint or zip file, and what to do; '' if it is none of that."""
    with open(path, "rb") as file:
        start = file.read(100)
    if not start:
        return "an empty file: copy or download it again"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file itself: run 'git lfs pull' in its repository"
    if start.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"<"):  # servers also answer errors with XML
        return "an HTML page, not the file itself: see in a browser what it says, and download the file"
    if start.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(path):
        return "a zip file that is cut off: copy or download it again"
    return ""


def require_room(folder: Path, size: int) -> None:
    """Check that the disk of a folder has room for so many bytes.

    Raises:
        OSError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        text = f"{size / 1e9:.1f} GB are to come, but only {free / 1e9:.1f} GB are free"
        raise OSError(errno.ENOSPC, text, str(folder))


def copy_checked(source: Path, target: Path, expected: str) -> bool:
    """Copy a file, atomically, if the SHA-256 of the copy begins with these hex digits; whether it does."""
    target.parent.mkdir(parents=True, exist_ok=True)
    copy = _partial(target)
    try:
        shutil.copyfile(source, copy)
        right = sha256(copy).startswith(expected)
        if right:
            copy.replace(target)
        return right
    finally:
        copy.unlink(missing_ok=True)


def fingerprint(content: Any) -> str:
    """Twelve hex digits of the hash of JSON content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def fingerprint_of(*parts: Any) -> str:
    """The fingerprint of parts that together are too large for one text."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(json.dumps(part, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()[:12]
