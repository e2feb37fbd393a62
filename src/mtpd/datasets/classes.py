"""Classes: one name each, those that the user chose, and the same in every split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from mtpd.datasets.changes import Changes

NO_PARENT = ("none", "", None)


def tidy(content: dict, first: int, changes: Changes) -> None:
    """Put names right, and drop what stands beside the classes: parents and empty doubles.

    Args:
        first: the id of the class that the source calls 0.
    """
    counts = Counter(item["category_id"] for item in content["annotations"])
    for category in content["categories"]:
        _tidy_name(category, changes)
    categories = content["categories"]
    for category in _empty_parents(categories, counts):
        changes.put_right("parent classes without objects, dropped", repr(category["name"]))
        categories.remove(category)
    _drop_empty_doubles(categories, counts, first, changes)
    if not categories:
        changes.stop("has no classes")


def _tidy_name(category: dict, changes: Changes) -> None:
    name = category.get("name")
    tidied = str(name).strip() if name not in (None, "") else f"class-{category['id']}"
    if name != tidied:
        changes.put_right("class names", f"{name!r} -> {tidied!r}")
        category["name"] = tidied


def _empty_parents(categories: list[dict], counts: Counter) -> list[dict]:
    """Classes without objects that the others name as theirs, as Roboflow writes its project."""
    parents = {str(one.get("supercategory")) for one in categories}
    return [
        one
        for one in categories
        if not counts[one["id"]]
        and one.get("supercategory") in NO_PARENT
        and one["name"] in parents
        and len(categories) > 1
    ]


def _drop_empty_doubles(categories: list[dict], counts: Counter, first: int, changes: Changes) -> None:
    by_name: dict[str, list[dict]] = {}
    for category in categories:
        by_name.setdefault(category["name"], []).append(category)
    for name, same in by_name.items():
        filled = [category for category in same if counts[category["id"]]]
        if len(filled) > 1:
            ids = ", ".join(str(category["id"] - first) for category in filled)
            changes.stop(
                f"two classes are called {name!r} and both have objects (ids {ids}): give them two names,"
                " or the objects of both one category_id"
            )
            continue
        kept = filled[0] if filled else same[0]
        for category in same:
            if category is not kept:
                changes.put_right("classes of one name, dropped the one without objects", repr(name))
                categories.remove(category)


def choose(content: dict, wanted: list | dict | None, may_lack: bool, changes: Changes) -> set[str]:
    """Keep, rename and merge classes.

    Args:
        wanted: names to keep, in order; or the old names (or name) by each new name; None keeps all.
        may_lack: whether the split may have none of the names of a class, as where training has one.

    Returns:
        The wanted names that this split does not have; another one must have them.
    """
    if not wanted:
        return set()
    groups = wanted if isinstance(wanted, dict) else {name: [name] for name in wanted}
    groups = {str(new): [old] if isinstance(old, str) else list(map(str, old)) for new, old in groups.items()}
    known = {category["name"]: category for category in content["categories"]}
    chosen = [old for group in groups.values() for old in group]
    there = {new: has for new, old in groups.items() if (has := [name for name in old if name in known])}
    if not may_lack and (lacking := [old for new in groups.keys() - there for old in groups[new]]):
        changes.stop(unknown(lacking, known))
        return set()
    _choose(content, there, chosen, known, changes)
    return set(chosen) - known.keys()


def tell_alike(content: dict, changes: Changes) -> None:
    """Note classes of which the names differ in nothing but letter case, blanks and the like."""
    by_key: dict[str, list[str]] = {}
    for category in content["categories"]:
        key = re.sub(r"[\W_]+", " ", category["name"].casefold())
        by_key.setdefault(key.strip() or category["name"], []).append(category["name"])
    for same in by_key.values():
        if len(same) > 1:
            changes.note(
                f"{' and '.join(map(repr, same))} are {len(same)} classes; if they mean the same, join them"
                f" in dataset.classes: {{{same[0]}: [{', '.join(same)}], ...}}, with all other classes"
            )


def unknown(names: Iterable[str], known: Iterable[str]) -> str:
    """What a stop says of names in ``dataset.classes`` that the data do not have."""
    return f"dataset.classes names {', '.join(sorted(names))}; the classes are {', '.join(known)}"


def _choose(content: dict, groups: dict, chosen: list[str], known: dict, changes: Changes) -> None:
    if twice := [old for old, count in Counter(chosen).items() if count > 1]:
        changes.stop(f"dataset.classes names {', '.join(twice)} twice; each class can go to one")
        return
    new_id = {known[old]["id"]: known[group[0]]["id"] for group in groups.values() for old in group}
    content["categories"] = [{**known[group[0]], "name": new} for new, group in groups.items()]
    before = len(content["annotations"])
    content["annotations"] = [item for item in content["annotations"] if item["category_id"] in new_id]
    for item in content["annotations"]:
        item["category_id"] = new_id[item["category_id"]]
    if dropped := before - len(content["annotations"]):
        changes.note(f"dataset.classes leaves out {dropped} of {before} objects")


def align(content: dict, train: list[dict], learnt: set[str], optional: bool, changes: Changes) -> None:
    """Give a split the categories of the training split, by name.

    Args:
        train: categories of the training split.
        learnt: names of those that have objects there, apart from crowds.
        optional: of a split that is not needed, objects of other classes are left out; else they stop.
    """
    names = {category["id"]: category["name"] for category in content["categories"]}
    counts = Counter(names[item["category_id"]] for item in content["annotations"])
    known = [category["name"] for category in train]
    unknown = {name: count for name, count in counts.items() if name not in known}
    if unknown and not optional:
        changes.stop(
            f"has objects of classes that training does not have: {_counted(unknown)}; training has"
            f" {', '.join(known)}: rename, merge or choose classes with dataset.classes"
        )
        return
    scored = Counter(names[item["category_id"]] for item in content["annotations"] if not item["iscrowd"])
    if unlearnt := {name: count for name, count in scored.items() if name in set(known) - learnt}:
        changes.note(
            f"training has no object of {_counted(unlearnt)}: such classes are not learnt, and lower AP"
        )
    kept = []
    for item in content["annotations"]:
        if (name := names[item["category_id"]]) in unknown:
            changes.leave_out("objects", "of classes that training does not have", name)
        else:
            kept.append(item)
    content["annotations"] = kept
    if _told(content["categories"]) == _told(train):
        return
    ids = {category["name"]: category["id"] for category in train}
    for item in kept:
        item["category_id"] = ids[names[item["category_id"]]]
    content["categories"] = train
    changes.put_right("lists of classes, made that of training", ", ".join(names.values()))


def _counted(classes: dict[str, int]) -> str:
    return ", ".join(f"{name!r} ({count} objects)" for name, count in classes.items())


def _told(categories: list[dict]) -> list[tuple]:
    return [(category["id"], category["name"]) for category in categories]
