"""Types that the keys of the experiment file share."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from mtpd.experiment import chains

Name = Annotated[str, StringConstraints(pattern=f"^{chains.NAME}$")]
Names = tuple[Name, ...]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # numpy takes no larger one
Side = Annotated[int, Field(ge=32)]
Scale = tuple[Side, Side]  # width and height that images are resized to fit into, pixels


def _without_braces(path: str) -> str:
    if "{" in path or "}" in path:
        raise ValueError(
            f"found {path!r}; expected a path without braces, which Snakemake takes for wildcards"
        )
    return path


FilePath = Annotated[str, AfterValidator(_without_braces)]
Folder = Annotated[
    str, StringConstraints(pattern="[^/]$"), AfterValidator(_without_braces)
]  # without a slash at the end


def _finite(value: Any) -> Any:
    """The value, if no number within is infinite or NaN: JSON has no such numbers."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _finite(item)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"found {value}; expected a finite number")
    return value


Settings = Annotated[dict[str, Any], AfterValidator(_finite)]  # passed on to mmdet or torch


class Model(BaseModel):
    """Keys of a part of the experiment file; unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
