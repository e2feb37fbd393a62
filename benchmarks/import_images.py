"""Looking at all images of a data set against OpenCV decoding them and nothing else, on the same cores.

Time on a clock: what counts is how well the cores are used.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from benchmarks import pairing
from mtpd.datasets import images


def measure(small: bool = False):
    count, rounds = (4, 0) if small else (400, 5)
    with tempfile.TemporaryDirectory() as place:
        for form in ("jpg", "png"):
            ratios = compared(written(Path(place), f".{form}", count), rounds)
            what = f"images a second, {form.upper()} of 640 x 480: looked at for an import"
            yield pairing.Row(what, "decoded by OpenCV, as many threads", ratios, "at least 0.8")


def compared(paths: list[Path], rounds: int) -> list[float]:
    return pairing.side_by_side(lambda: seconds(lambda: decode(paths)), lambda: looked(paths), rounds)


def written(folder: Path, ending: str, count: int) -> list[Path]:
    """Images with structure and some noise, so that their files have usual sizes."""
    random = np.random.default_rng(0)
    paths = [folder / f"{number}{ending}" for number in range(count)]
    for path in paths:
        coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        noise = random.integers(0, 12, (480, 640, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC) // 2 + noise)
    return paths


def decode(paths: list[Path]) -> None:
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(
            pool.map(lambda path: cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) is None, paths)
        )


def looked(paths: list[Path]) -> float:
    with tempfile.TemporaryDirectory() as cache:  # nothing is remembered
        return seconds(lambda: images.look(paths, say=lambda line: None, cache=Path(cache)))


def seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before
