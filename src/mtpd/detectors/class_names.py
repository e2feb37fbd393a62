"""The class names of a detector beside those of the data: only equal names are the same class."""

from __future__ import annotations

import re
from collections.abc import Iterable

NAMED = 10  # the other names are counted


def differences(own: Iterable[str], of_the_data: Iterable[str]) -> str:
    """Which classes only the detector or only the data have, in one line; '' if both have the same ones.

    Where two of them differ only in case, blanks or hyphens, each is followed by the other.
    """
    own, theirs = dict.fromkeys(own), dict.fromkeys(of_the_data)
    extra = [name for name in own if name not in theirs]
    missing = [name for name in theirs if name not in own]
    sides = (("the data do not have", extra, missing), ("the detector does not have", missing, extra))
    return "; ".join(f"{what} {_listed(names, others)}" for what, names, others in sides if names)


def _listed(names: list[str], others: list[str]) -> str:
    near = {_plain(other): other for other in others}
    told = [f"{name!r} (but {near[_plain(name)]!r})" for name in names if _plain(name) in near]
    told += [repr(name) for name in names if _plain(name) not in near]
    return ", ".join(told[:NAMED]) + f" and {len(told) - NAMED} more" * (len(told) > NAMED)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()
