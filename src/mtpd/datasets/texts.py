"""JSON that is read, changed here and there, and written: objects that nobody changed keep their text.

To write numbers takes as long as to read them, and COCO has forty million.
"""

from __future__ import annotations

import contextlib
import gc
import json
import re
from array import array
from collections.abc import Iterable, Iterator
from operator import is_
from pathlib import Path

OBJECTS = re.compile(r'"annotations"\s*:\s*(?=\[)')
BETWEEN = re.compile(r"\}\s*,\s*\{")
KEPT = "_written"  # beside the objects, in memory
HERE = "\0annotations"  # stands for them


class Written:
    """Objects as they were read.

    Args:
        text: where they stand in.
        place: begin and end of the list of them.
        items: what it says. Their values may be replaced (``item["bbox"] = [...]``), but not changed in place
            (``item["bbox"][0] = 1``): that would not be noticed.
    """

    def __init__(self, text: str, place: tuple[int, int], items: list[dict]):
        self._text, self._place, self._items = text, place, list(items)
        self._values = [tuple(item.values()) for item in items]

    def texts(self, items: list[dict]) -> Iterator[str]:
        """The text of some of the objects; what was read, where an object is unchanged and in its order."""
        rows = zip(self._items, self._values, self._places(), strict=False)
        for item in items:
            row = next((row for row in rows if row[0] is item), None)
            text = self._text[slice(*row[2])] if row and _is_unchanged(item, row[1]) else ""
            yield text if text and text.isascii() else json.dumps(item)

    def _places(self) -> Iterable[tuple[int, int]]:
        """Where each object begins and ends; nothing if that is not plain.

        Between two objects is always a match. So if there are not more matches than that, they are these.
        """
        begins, ends = array("q", [self._text.find("{", *self._place)]), array("q")
        for match in BETWEEN.finditer(self._text, *self._place):
            begins.append(match.end() - 1)
            ends.append(match.start() + 1)
        ends.append(self._text.rfind("}", *self._place) + 1)
        return zip(begins, ends, strict=True) if len(begins) == len(self._items) else ()


def _is_unchanged(item: dict, values: tuple) -> bool:
    """An equal value in the place of another one is a change: 1 may have been ``true``."""
    return len(item) == len(values) and all(map(is_, item.values(), values))


def parsed(text: str) -> object:
    """What JSON says; beside a list of ``annotations`` also their text, for ``write``.

    Raises:
        ValueError: it is not JSON.
    """
    found = OBJECTS.search(text)
    try:
        items, end = json.JSONDecoder().raw_decode(text, found.end())
        content = json.loads(f"{text[: found.end()]}{json.dumps(HERE)}{text[end:]}")
        if content["annotations"] == HERE and all(isinstance(item, dict) for item in items):
            return content | {"annotations": items, KEPT: Written(text, (found.end(), end), items)}
    except (AttributeError, LookupError, TypeError, ValueError):
        pass  # no such list at its place
    return json.loads(text)


def write(path: Path, content: dict) -> None:
    """Write JSON in parts, so that no long text is in memory beside what it says."""
    kept = content.pop(KEPT, None)
    with open(path, "w", encoding="utf-8") as file:
        for number, (part, found) in enumerate(content.items()):
            file.write(f"{', ' if number else '{'}{json.dumps(part)}: ")
            if not isinstance(found, list):
                file.write(json.dumps(found))
                continue
            texts = kept.texts(found) if kept and part == "annotations" else map(json.dumps, found)
            file.write("[")
            file.writelines(f"{', ' if place else ''}{text}" for place, text in enumerate(texts))
            file.write("]")
        file.write("}\n" if content else "{}\n")


@contextlib.contextmanager
def no_collector() -> Iterator[None]:
    """Without it, reading takes half the time: it would look at millions of objects again and again."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
