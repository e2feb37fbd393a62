"""Types that the keys of the experiment file share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mtpd.experiment import chains

Name = Annotated[str, StringConstraints(pattern=f"^{chains.NAME}$")]
Names = tuple[Name, ...]
Seed = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=32)]
Scale = tuple[Side, Side]  # width and height that images are resized to fit into, pixels


class Model(BaseModel):
    """Keys of a part of the experiment file; unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
