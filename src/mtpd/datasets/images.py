"""What training makes of many image files: looked at on all cores, and remembered."""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

import cv2
import PIL

from mtpd import files
from mtpd.datasets import pixels

VERSION = f"1, OpenCV {cv2.__version__}, Pillow {PIL.__version__}"  # of what is remembered
CACHE = Path("work/images")
SAMPLE = 200  # images
BATCH = 4  # images that a thread takes at a time
SECONDS = 10.0  # between two lines of progress


@dataclass(frozen=True)
class Look:
    """What training makes of an image file.

    ``size``: width and height in pixels, turned as EXIF says; None if unknown.
    ``problem``: what is wrong with the file as it is, a sentence without its subject, or None.
    ``digest``: SHA-256 of the bytes. Files that cannot be opened, or need not be, have their path instead.
    ``convert``: whether ``pixels.convert`` makes an image of it that can be trained. ``size`` is that one's.
    """

    size: tuple[int, int] | None
    problem: str | None
    digest: str
    convert: bool = False


def look(
    paths: list[Path], decode: str = "all", say: Callable[[str], None] = print, cache: Path = CACHE
) -> dict[Path, Look]:
    """Look at image files.

    Args:
        paths: of the files.
        decode: ``all`` decodes each image to its end. ``sample`` decodes 200, always the same ones, and those
            whose header does not say what will come of them; of others it reads header and end.
            ``none`` opens no file.
        say: takes lines that tell progress and time left.
        cache: the folder that remembers what files of the same path, size and time were.
    """
    if decode == "none":
        return {path: Look(None, None, str(path)) for path in paths}
    memory = _Memory(cache, paths)
    chosen = set(paths if decode == "all" else sorted(paths, key=_place)[:SAMPLE])
    looks = {path: found for path in paths if (found := memory.get(path, path in chosen))}
    new = [path for path in dict.fromkeys(paths) if path not in looks]
    try:
        for path, version, found in _told(_looked_at(new, chosen), len(new), say):
            looks[path] = found
            memory.put(path, version, path in chosen, found)
    finally:  # an interrupted import goes on from here
        if new:
            memory.write()
    return {path: looks[path] for path in paths}


def same_images(looks: dict[Path, Look]) -> list[list[Path]]:
    """Groups of files with the same bytes."""
    groups = defaultdict(list)
    for path, found in looks.items():
        groups[found.digest].append(path)
    return [group for group in groups.values() if len(group) > 1]


def _place(path: Path) -> str:
    """Where an image stands in a fixed pseudo-random order: new images do not move the others."""
    return hashlib.sha256(path.name.encode(errors="surrogateescape")).hexdigest()


def _looked_at(paths: list[Path], chosen: set[Path]) -> Iterator[tuple]:
    """Path, version and ``Look`` of each, in their order."""
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    for rows in on_all_cores(lambda batch: [_look(path, path in chosen) for path in batch], batches):
        yield from rows


def on_all_cores(work: Callable, items: list) -> Iterator:
    """What work on image files gives for each item, in order. OpenCV decodes without Python's lock."""
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    usual = cv2.setLogLevel(0)  # it would print on damaged files
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about EXIF data and large images
            yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setLogLevel(usual)


def _look(path: Path, decode: bool) -> tuple[Path, list[int] | None, Look]:
    try:
        version, content = _version(path), path.read_bytes()
    except OSError as error:
        return path, None, Look(None, f"cannot be opened ({error.strerror})", str(path))
    size, problem, convert = pixels.examine(path, content, decode)
    return path, version, Look(size, problem, hashlib.sha256(content).hexdigest(), convert)


def _version(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _told(rows: Iterator[tuple], total: int, say: Callable[[str], None]) -> Iterator[tuple]:
    """The rows; meanwhile, lines of progress."""
    started = last = time.monotonic()
    for number, row in enumerate(rows, 1):
        now = time.monotonic()
        if now - last >= SECONDS:
            left = (now - started) / number * (total - number)
            say(f"looked at {number} of {total} images, about {_duration(left)} left")
            last = now
        yield row


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


class _Memory:
    """One file for the images below one folder.

    Two processes can have it open: each writes a whole file, and what the other one found is looked at again.
    """

    def __init__(self, cache: Path, paths: list[Path]):
        self.paths = {path: os.path.abspath(path) for path in paths}
        folder = os.path.commonpath(map(os.path.dirname, self.paths.values())) if paths else ""
        self.file = cache / f"{files.fingerprint(folder)}.json"
        self.rows = self._read()

    def _read(self) -> dict[str, list]:
        try:
            content = files.read_json(self.file)
        except (OSError, ValueError):
            return {}
        return content["images"] if content.get("version") == VERSION else {}

    def get(self, path: Path, decoded: bool) -> Look | None:
        """What is known of a file that has not changed; it must have been decoded if ``decoded``."""
        row = self.rows.get(self.paths[path])
        if row is None or row["decoded"] < decoded:
            return None
        try:
            if _version(path) != row["version"]:
                return None
        except OSError:
            return None
        size, *others = row["look"]
        return Look(size and tuple(size), *others)

    def put(self, path: Path, version: list[int] | None, decoded: bool, found: Look) -> None:
        if version:
            self.rows[self.paths[path]] = {"version": version, "decoded": decoded, "look": astuple(found)}

    def write(self) -> None:
        rows = {**self._read(), **self.rows}  # another process may have written meanwhile
        files.write_json(self.file, {"version": VERSION, "images": rows}, indent=None)
