"""Pascal VOC: an XML file for each image."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from mtpd.datasets.changes import Changes
from mtpd.datasets.tree import Labels, Tree

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def files_of(tree: Tree) -> list[str]:
    """The XML files that annotate images."""
    return [path for path in tree.of_kind(".xml") if _is_voc(tree.folder / path)]


def _is_voc(path: Path) -> bool:
    with open(path, "rb") as file:
        return b"<annotation" in file.read(1000)


def classes_of(files: list[str], tree: Tree) -> list[str]:
    """The names of all objects, sorted: VOC has no list of classes."""
    return sorted(
        {
            _name(item)
            for path in files
            if (root := _parsed(path, tree)) is not None
            for item in root.iter("object")
        }
    )


def _parsed(path: str, tree: Tree) -> ElementTree.Element | None:
    try:
        return ElementTree.parse(tree.folder / path).getroot()
    except ElementTree.ParseError:
        return None


def read(files: list[str], classes: list[str], tree: Tree, changes: Changes) -> dict:
    """The objects that XML files tell, of these classes.

    A ``difficult`` object gets ``iscrowd`` 1. mmdet reads both in the same way: it is neither learnt nor
    scored, and it is no error to find it.
    """
    partners = Labels(tree.images)
    content = {"images": [], "annotations": [], "categories": []}
    boxes = []
    for path in files:
        if (root := _parsed(path, tree)) is None:
            changes.totals["images"] += 1
            changes.leave_out("images", "whose XML file is damaged", path)
            continue
        image = {"id": len(content["images"]) + 1, "file_name": _image_of(path, root, partners, changes)}
        for side in ("width", "height"):
            if text := root.findtext(f"size/{side}"):
                image[side] = _number(text)
        content["images"].append(image)
        boxes += [(image["id"], path, item) for item in root.iter("object")]
    _add_objects(content, boxes, classes, changes)
    return content


def _image_of(path: str, root: ElementTree.Element, partners: Labels, changes: Changes) -> str:
    """The image of an XML file: of two that fit, as a.jpg and a.png, the one that it names."""
    listed, found = _listed_name(root, path), partners.of(path)
    other = partners.doubles.get(found)
    if other is None:
        return found or listed
    taken, left = (other, found) if PurePosixPath(other).name == listed else (found, other)
    changes.note(f"{path} fits two images: took {taken}, not {left}")
    return taken


def _listed_name(root: ElementTree.Element, path: str) -> str:
    return (root.findtext("filename") or "").strip() or f"{PurePosixPath(path).stem}.jpg"


def _number(text: str | None) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return int(value) if value.is_integer() else value


def _add_objects(content: dict, found: list[tuple], classes: list[str], changes: Changes) -> None:
    corners = [[_number(item.findtext(f"bndbox/{name}")) for name in CORNERS] for _, _, item in found]
    first = _first_pixel(corners)
    if not first:
        changes.note("VOC boxes count from 0 here: more of them begin at 0 than at 1")
    ids = {name: number for number, name in enumerate(classes, start=1)}
    content["categories"] = [{"id": number, "name": name} for name, number in ids.items()]
    difficult = 0
    for number, ((image, path, item), corner) in enumerate(zip(found, corners, strict=True), start=1):
        crowd = int((item.findtext("difficult") or "").strip() in ("1", "true"))
        difficult += crowd
        box = _box(corner, first, path, changes)
        content["annotations"].append(
            {"id": number, "image_id": image, "category_id": ids[_name(item)], "bbox": box, "iscrowd": crowd}
            | ({"area": box[2] * box[3]} if box else {})
        )
    if difficult:
        changes.note(
            f"{difficult} difficult objects have become iscrowd: not learnt, not scored, no error to find"
        )


def _name(item: ElementTree.Element) -> str:
    return (item.findtext("name") or "").strip()


def _first_pixel(corners: list[list]) -> int:
    """What the first pixel is called: 1 in Pascal VOC, 0 by many exporters."""
    beginnings = [value for corner in corners for value in corner[:2]]
    return int(beginnings.count(0) <= beginnings.count(1))


def _box(corner: list, first: int, path: str, changes: Changes) -> list[float] | None:
    """x, y, width, height; the last pixel belongs to a VOC box, so its far edge is at that number."""
    if None in corner:
        return None
    left, right = sorted((corner[0], corner[2]))
    top, bottom = sorted((corner[1], corner[3]))
    if [left, top, right, bottom] != corner:
        changes.put_right("corners in the wrong order", f"{path}: {corner}")
    width, height = (
        right - left,
        bottom - top,
    )  # without an area if both edges are one pixel, a slip of the hand
    return [left - first, top - first, width and width + first, height and height + first]
