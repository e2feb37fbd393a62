"""Whether a transform of a recipe can be built, and leaves the images of a stage independent."""

from __future__ import annotations

import difflib

from mmdet.registry import TRANSFORMS


def problem(step: dict) -> str | None:
    """What is wrong with a transform of ``augment``; None if nothing is."""
    kind = step["type"]
    built = TRANSFORMS.get(kind)
    if not built:
        near = difflib.get_close_matches(kind, TRANSFORMS.module_dict, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "expected the name of a transform of mmdet"
        return f"found {kind!r}; {hint}"
    if "get_indexes" in dir(built):  # hasattr fails: mmcv decorates it
        return f"{kind} mixes several images, which is not supported; expected transforms of one image"
    try:
        TRANSFORMS.build(step)
    except Exception as error:  # a transform can raise anything
        said = str(error).strip() or "an argument is not allowed"
        return f"{kind}: {type(error).__name__}: {said.splitlines()[0]}"
    return None
