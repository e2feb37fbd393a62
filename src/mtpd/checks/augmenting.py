"""Whether a transform of a recipe can be built, and leaves the images of a stage independent."""

from __future__ import annotations

from mmdet.registry import TRANSFORMS

from mtpd.checks import registries


def problem(step: dict) -> str | None:
    """What is wrong with a transform of ``augment``; None if nothing is."""
    kind = step["type"]
    if said := registries.unknown(kind, TRANSFORMS, "a transform of mmdet"):
        return said
    if "get_indexes" in dir(TRANSFORMS.get(kind)):  # hasattr fails: mmcv decorates it
        return f"{kind} mixes several images, which is not supported; expected transforms of one image"
    try:
        TRANSFORMS.build(step)
    except Exception as error:  # a transform can raise anything
        said = str(error).strip() or "an argument is not allowed"
        return f"{kind}: {type(error).__name__}: {said.splitlines()[0]}"
    return None
