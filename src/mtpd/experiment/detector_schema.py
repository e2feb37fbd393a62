"""The keys of a detector in the experiment file; ``schema`` has the other keys."""

from __future__ import annotations

from pydantic import Field, model_validator

from mtpd.experiment.schema_types import FilePath, Model, Name, Seed, Settings

MMDET = "mmdet::"  # begins the names of configs that come with mmdet


class Train(Model):
    """Weights that the workflow trains itself, without a teacher."""

    recipe: Name
    epochs: int = Field(ge=1)
    seed: Seed = 0


class Checkpoint(Model):
    """Where a checkpoint comes from."""

    file: FilePath | None = Field(None, description="checkpoint on disk")
    url: str | None = Field(None, pattern="^(https?|file)://", description="checkpoint to download")
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{8,64}$",
        description="hash of the file or download, or the first digits of it",
    )

    @property
    def place(self) -> str | None:
        """File or address; neither in a rehearsal without the checkpoint."""
        return self.file or self.url

    @model_validator(mode="after")
    def _checked_download(self) -> Checkpoint:
        if self.url and not self.sha256:
            raise ValueError("'url' needs 'sha256': downloads are checked")
        return self


class Initial(Checkpoint):
    """Trained weights that the training of a detector starts from, where names and shapes agree."""

    class_rows: bool = Field(
        True, description="in layers with rows for each class, take the rows of classes of equal names, too"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Initial:
        if [self.file, self.url].count(None) != 1:
            raise ValueError("give exactly one of 'file' and 'url'")
        return self


class Detector(Checkpoint):
    """An mmdet config and weights: a file, a URL with its hash, or trained by the workflow."""

    config: FilePath = Field(
        pattern=r"^(mmdet::)?[^:]+\.py$", description="mmdet config: a file, or mmdet::folder/name.py"
    )
    overrides: Settings = Field(default_factory=dict, description="changes to the config, by dotted key")
    image_scale: float = Field(
        1, gt=0, le=8, description="scale of its images, relative to the scale of the data set"
    )
    taps: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="modules whose outputs are its features; by default those of the neck",
    )
    train: Train | None = None
    initial: Initial | None = Field(None, description="trained weights that its training starts from")
    license: str | None = Field(
        None, description="licence of the weights, for the cards of exported students"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Detector:
        if [self.train, self.file, self.url].count(None) != 2:
            raise ValueError("give exactly one of 'train', 'file' and 'url'")
        if self.train and self.sha256:
            raise ValueError("'sha256' goes with 'file' or 'url'")
        if self.initial and not self.train:
            raise ValueError("'initial' goes with 'train': weights of 'file' or 'url' are taken as they are")
        return self
