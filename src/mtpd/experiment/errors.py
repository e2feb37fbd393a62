"""Errors in the experiment file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """The experiment file is wrong; the message names each wrong key, a line each."""


def expected(found: str, known: Iterable[str]) -> str:
    """What should stand in place of an unknown name: the closest known one, or all of them."""
    near = difflib.get_close_matches(found, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(sorted(known))}"
