"""Types that users name and a registry of mmengine has, or has not."""

from __future__ import annotations

import difflib

from mmengine.registry import Registry


def unknown(kind: str, registry: Registry, what: str) -> str | None:
    """What to say of a type that a registry does not have; None if it has it. Args: ``what`` is expected."""
    if registry.get(kind):
        return None
    near = difflib.get_close_matches(kind, registry.module_dict, n=1)
    return f"found {kind!r}; " + (f"did you mean {near[0]!r}?" if near else f"expected the name of {what}")
