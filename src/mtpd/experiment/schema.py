"""The keys of the experiment file: types, defaults, meaning.

These models are the reference; ``python -m mtpd.experiment.reading`` writes ``config/schema.json`` from them.
Those of a detector are in ``detector_schema``, those of a recipe in ``recipe_schema``. What concerns several
keys at once is checked in ``consistency``.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from mtpd.experiment import chains
from mtpd.experiment.detector_schema import Detector
from mtpd.experiment.recipe_schema import Recipe
from mtpd.experiment.schema_types import FilePath, Folder, Model, Name, Names, Scale, Seed

Policy = Literal["bgs", "reverse", "by-ap", "strongest", "min-max", "min-sum", "pairs", "all"]
SEVERAL_CHAINS = ("pairs", "all")  # the policies that give a student more than one chain


class Generate(Model):
    """The generated data set, 'shapes'."""

    train: int = Field(800, ge=1, description="training images")
    val: int = Field(200, ge=1, description="validation images")
    size: int = Field(128, ge=32, description="side of an image, pixels")
    seed: Seed = 0


class Split(Model):
    annotations: FilePath = Field(min_length=1, description="COCO annotation file")
    images: str = Field(min_length=1, description="folder of the images")


class Fraction(Model):
    """A validation split that is taken out of a data set that has none."""

    fraction: float = Field(0.2, gt=0, lt=1, description="share of the images")
    seed: Seed = 0


def _split_or_fraction(value: object) -> str:
    keys = value.keys() if isinstance(value, dict) else ()
    return "<Fraction>" if isinstance(value, Fraction) or {"fraction", "seed"} & set(keys) else "<Split>"


# Where a key has one of two forms, its content decides which, so that errors are those of that form.
Validation = Annotated[
    Annotated[Split, Tag("<Split>")] | Annotated[Fraction, Tag("<Fraction>")],
    Discriminator(_split_or_fraction),
]
Classes = Annotated[
    Annotated[tuple[str, ...], Tag("<list>")] | Annotated[dict[str, tuple[str, ...]], Tag("<mapping>")],
    Discriminator(lambda value: "<mapping>" if isinstance(value, dict) else "<list>"),
]


class Archive(Model):
    """A zip file that has a folder of the data."""

    url: str = Field(pattern="^(https?|file)://")
    sha256: str = Field(pattern="^[0-9a-f]{8,64}$", description="hash of the zip file, or its first digits")
    bytes: int = Field(ge=1, description="size of the zip file")
    files: int = Field(ge=1, description="how many are in the folder")


OF_IMPORTS = ("classes", "strict", "decode", "allowed_share")  # keys of a data set that only its import reads


class Dataset(Model):
    """A data set: a folder in a form that people have, two COCO files, or generated."""

    name: Name
    source: Annotated[FilePath, AfterValidator(os.path.expanduser)] | None = Field(
        None, description="folder of a data set (COCO, YOLO, Pascal VOC), imported before any job"
    )
    classes: Classes | None = Field(
        None, description="the classes to take, or new names with the classes that they join"
    )
    strict: bool = Field(False, description="refuse whatever the import would change")
    decode: Literal["all", "sample", "none"] = Field("all", description="which images the import decodes")
    allowed_share: float = Field(
        0.05, ge=0, le=1, description="share of images or of objects that the import may leave out"
    )
    generate: Generate | None = None
    train: Split | None = None
    val: Validation | None = Field(
        None, description="its own files; or, without such a split, the fraction to take out of 'train'"
    )
    test: Split | None = Field(None, description="beside 'train' and 'val': is reported, and chooses nothing")
    download: dict[Folder, Archive] = Field(
        default_factory=dict,
        description="where folders of the data come from if they are not there, by folder",
    )
    scale: Scale = Field(
        (1333, 800), description="width and height that images are resized to fit into, pixels"
    )
    skip_empty_images: bool = Field(
        True, description="train without the images that have no object, as mmdet does"
    )
    min_image_side: int = Field(
        32, ge=1, description="train without images with a shorter side, pixels, as mmdet does"
    )
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip in training")
    evaluator: Literal["pycocotools", "faster-coco-eval"] = "pycocotools"  # equal within 1e-12
    license: str | None = Field(None, description="licence of the data, for the cards of exported students")

    @model_validator(mode="after")
    def _one_source(self) -> Dataset:
        if sum(form is not None for form in (self.source, self.generate, self.train)) != 1:
            raise ValueError("give one of 'source', a folder; 'train' and 'val'; 'generate'")
        if self.train and self.val is None:
            raise ValueError("give 'val', too: annotations and images, or a fraction to take out of 'train'")
        if self.train is None and isinstance(self.val, Split):
            raise ValueError("val: found annotations and images; expected those of 'train' beside them")
        if self.test and not (self.train and isinstance(self.val, Split)):
            raise ValueError("test: found annotations and images; expected those of 'train' and 'val', too")
        changed = [key for key in OF_IMPORTS if getattr(self, key) != type(self).model_fields[key].default]
        if self.generate and (given := [*changed, *["val"] * (self.val is not None)]):
            raise ValueError(f"{', '.join(given)}: only for data that are imported, not for 'generate'")
        return self


class Order(Model):
    probe_images: int = Field(
        200, ge=4, description="training images on which the adaptation cost is measured"
    )
    max_teachers: int = Field(
        3, ge=1, description="largest number of teachers that bgs, min-max and min-sum choose"
    )
    seed: Seed = 0


class Compute(Model):
    """Resources of a training job."""

    threads: int = Field(1, ge=1, description="CPU cores")
    workers: int | None = Field(
        None,
        ge=0,
        description="data loaders of each process; by default one per remaining core with GPUs (at most 8), "
        "else none",
    )
    gpus: int = Field(0, ge=0, description="more than one starts torchrun")
    mem_mb: int = Field(4000, ge=1)
    runtime: int = Field(240, ge=1, description="minutes")


class Arm(Model):
    """A row of the table: a recipe, and a chain or a policy that makes chains from a pool."""

    recipe: Name
    chain: str | None = Field(None, description="the stages, as in r101@12+x101@12")
    policy: Policy | None = None
    pool: Name | None = None
    epochs: int | None = Field(None, ge=1, description="total epochs, divided evenly among the stages")
    seeds: tuple[Seed, ...] | None = Field(
        None, min_length=1, description="by default those of the experiment"
    )
    students: Names | None = Field(None, min_length=1, description="by default those of the experiment")
    against: Names = Field(
        (), description="control arms: the differences in AP from them are reported, with 95% intervals"
    )
    paper: Name | None = Field(
        None, description="the result of the paper that the arm reproduces: an id in config/paper/results.csv"
    )

    @model_validator(mode="after")
    def _chain_or_policy(self) -> Arm:
        policy = (self.policy, self.pool, self.epochs)
        if self.chain is None and None in policy:
            raise ValueError("give 'chain', or all of 'policy', 'pool' and 'epochs'")
        if self.chain is not None:
            chains.parse(self.chain)
            if policy != (None, None, None):
                raise ValueError("'chain' goes without 'policy', 'pool' and 'epochs'")
        if self.paper and self.policy in SEVERAL_CHAINS:
            raise ValueError(f"'paper' needs one chain; policy {self.policy!r} gives several")
        return self


class Experiment(Model):
    include: tuple[str, ...] = Field(
        (), description="YAML files onto which this one is merged; relative to this file, or to the project"
    )
    experiment: Name
    dataset: Dataset
    detectors: dict[Name, Detector]
    students: Names = Field(min_length=1)
    pools: dict[Name, Annotated[Names, Field(min_length=1)]] = Field(default_factory=dict)
    order: Order = Order()
    recipes: dict[Name, Recipe]
    arms: dict[Name, Arm] = Field(min_length=1)
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)
    compute: Compute = Compute()
    trackers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(
        ("tensorboard",), description="what training can be watched with; wandb and mlflow must be installed"
    )
    rehearsal: bool = Field(
        False,
        description="run the same graph with a few generated images, to find mistakes; see `make rehearsal`",
    )
