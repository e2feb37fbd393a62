"""The experiment file: what may stand in it, and what it means.

These models are the reference; ``config/schema.json`` is generated from them (``python -m mtpd.config``).
Reading an experiment imports neither torch nor mmdet.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from mtpd import chains

Name = Annotated[str, StringConstraints(pattern=f"^{chains.NAME}$")]
Policy = Literal["bgs", "reverse", "by-ap", "strongest", "all"]


class ConfigError(ValueError):
    """The experiment file says something that cannot be; the message names the key."""


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Generate(Model):
    """The embedded data set, 'shapes'."""

    train: int = Field(800, ge=1, description="training images")
    val: int = Field(200, ge=1, description="validation images")
    size: int = Field(128, ge=32, description="side of an image, pixels")
    seed: int = 0


class Split(Model):
    annotations: str = Field(description="COCO annotation file")
    images: str = Field(description="folder of the images")


class Dataset(Model):
    """One COCO-format data set: generated, or two splits on disk."""

    name: Name
    generate: Generate | None = None
    train: Split | None = None
    val: Split | None = None
    scale: tuple[int, int] = Field(
        (1333, 800), description="width and height images are resized into, pixels"
    )
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip in training")

    @model_validator(mode="after")
    def _one_source(self) -> Dataset:
        given = (self.train is not None, self.val is not None)
        if given != ((False, False) if self.generate else (True, True)):
            raise ValueError("give either 'generate' or both of 'train' and 'val'")
        return self


class Train(Model):
    """Weights that the graph trains itself, without a teacher."""

    recipe: Name
    epochs: int = Field(ge=1)
    seed: int = Field(0, ge=0)


class Detector(Model):
    """An mmdet config plus weights: a file, a URL with its checksum, or "train it"."""

    config: str = Field(description="mmdet config: a file, or mmdet::folder/name.py")
    overrides: dict[str, Any] = Field(default_factory=dict, description="changes to it, by dotted key")
    image_scale: float = Field(1, gt=0, description="of its images, relative to the data set's scale")
    train: Train | None = None
    file: str | None = Field(None, description="checkpoint on disk")
    url: str | None = Field(None, description="checkpoint to download")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{8,64}$", description="its hash, or how that begins")

    @model_validator(mode="after")
    def _one_source(self) -> Detector:
        if [self.train, self.file, self.url].count(None) != 2:
            raise ValueError("give exactly one of 'train', 'file' and 'url'")
        if self.url and not self.sha256:
            raise ValueError("'url' needs 'sha256': downloads are checked")
        return self


class Order(Model):
    probe_images: int = Field(200, ge=4, description="training images the adaptation cost is measured on")
    max_teachers: int = Field(3, ge=1, description="most teachers that BGS chooses")
    ridge: float = Field(
        1e-4, ge=0, description="ridge of the fit, per position, channels being standardised"
    )
    seed: int = 0


class Loss(Model):
    name: Literal["feature-matching", "cwd", "fgd", "mgd", "pkd"]
    options: dict[str, float] = Field(default_factory=dict, description="weights, by the loss's own names")


class Schedule(Model):
    """Learning rate over a stage; it starts afresh in every stage."""

    kind: Literal["step", "one-cycle"] = "step"
    milestones: tuple[float, ...] = Field((2 / 3, 11 / 12), description="steps, as parts of the stage")
    gamma: float = Field(0.1, gt=0, description="factor at each step")
    warmup_iters: int = Field(500, ge=0, description="iterations of linear warm-up from 0.001")


class Recipe(Model):
    """How a stage trains."""

    loss: Loss | None = Field(None, description="distillation loss; none for training without a teacher")
    inherit: bool = Field(True, description="stage 1 takes the first teacher's neck and heads where they fit")
    optimizer: dict[str, Any] = Field(
        default_factory=lambda: {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
    )
    clip_grad: float = Field(35, gt=0, description="largest gradient norm")
    batch_size: int = Field(16, ge=1)
    accumulate: int = Field(1, ge=1, description="batches whose gradients make one step")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="of training, on GPUs"
    )
    schedule: Schedule = Schedule()
    validate_every: int = Field(1, ge=1, description="epochs between two validations")
    taps: tuple[str, ...] | None = Field(None, description="student modules to read; found if not given")


class Compute(Model):
    """What a training job takes."""

    threads: int = Field(1, ge=1, description="CPU cores; with GPUs, the cores beyond one each load data")
    gpus: int = Field(0, ge=0, description="more than one starts torchrun")
    mem_mb: int = Field(4000, ge=1)
    runtime: int = Field(240, ge=1, description="minutes")


class Arm(Model):
    """A row of the table: a recipe and a chain, or a policy that makes chains of a pool."""

    recipe: Name
    chain: str | None = Field(None, description="the stages, written out: r101@12+x101@12")
    policy: Policy | None = None
    pool: Name | None = None
    epochs: int | None = Field(None, ge=1, description="in all, shared evenly among the policy's stages")
    seeds: tuple[int, ...] | None = Field(None, description="the experiment's, if not given")
    students: tuple[Name, ...] | None = Field(None, description="the experiment's, if not given")

    @model_validator(mode="after")
    def _chain_or_policy(self) -> Arm:
        policy = (self.policy, self.pool, self.epochs)
        if self.chain is None and None in policy:
            raise ValueError("give 'chain', or all of 'policy', 'pool' and 'epochs'")
        if self.chain is not None:
            chains.parse(self.chain)
            if policy != (None, None, None):
                raise ValueError("'chain' goes without 'policy', 'pool' and 'epochs'")
        return self


class Experiment(Model):
    experiment: Name
    dataset: Dataset
    detectors: dict[Name, Detector]
    students: tuple[Name, ...] = Field(min_length=1)
    pools: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)
    order: Order = Order()
    recipes: dict[Name, Recipe]
    arms: dict[Name, Arm] = Field(min_length=1)
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _names_exist(self) -> Experiment:
        for key, found, known in self._references():
            if found not in known:
                raise ValueError(f"{key}: found {found!r}, {_expected(found, known)}")
        for key, arm in self.arms.items():
            if self.recipes[arm.recipe].loss is None and (arm.policy or chains.parse(arm.chain).teachers):
                raise ValueError(f"arms.{key}: recipe {arm.recipe!r} has no loss to distill with")
        for key, recipe in self.recipes.items():
            if recipe.precision != "float32" and not self.compute.gpus:
                raise ValueError(f"recipes.{key}.precision: {recipe.precision} needs compute.gpus")
        if chains.NO_TEACHER in self.detectors:
            raise ValueError("detectors.none: 'none' means 'no teacher'; choose another name")
        return self

    def _references(self):
        for student in self.students:
            yield "students", student, self.detectors
        for pool, teachers in self.pools.items():
            if not teachers:
                raise ValueError(f"pools.{pool}: expected at least one teacher")
            for teacher in teachers:
                yield f"pools.{pool}", teacher, self.detectors
        for key, detector in self.detectors.items():
            if detector.train:
                yield f"detectors.{key}.train.recipe", detector.train.recipe, self.recipes
        for key, arm in self.arms.items():
            yield f"arms.{key}.recipe", arm.recipe, self.recipes
            if arm.pool:
                yield f"arms.{key}.pool", arm.pool, self.pools
            for teacher in chains.parse(arm.chain).teachers if arm.chain else ():
                yield f"arms.{key}.chain", teacher, self.detectors
            for student in arm.students or ():
                yield f"arms.{key}.students", student, self.students

    def arm_students(self, arm: str) -> tuple[str, ...]:
        return self.arms[arm].students or self.students

    def arm_seeds(self, arm: str) -> tuple[int, ...]:
        return self.arms[arm].seeds or self.seeds

    def arm_chains(self, arm: str, orders: dict[str, list[list[str]]] | None) -> list[chains.Chain]:
        """The chains of an arm; a written one needs no ``orders`` (those of its pool, by policy)."""
        spec = self.arms[arm]
        if spec.chain:
            return [chains.parse(spec.chain)]
        return [chains.split_evenly(order, spec.epochs) for order in orders[spec.policy]]


def load_experiment(config: dict[str, Any], source: str = "config") -> Experiment:
    """Check a parsed experiment file.

    Raises:
        ConfigError: with one line for each wrong key: where, what was found, what was expected.
    """
    try:
        return Experiment.model_validate(config)
    except ValidationError as error:
        lines = [_describe(item) for item in error.errors()]
        raise ConfigError("\n".join(f"{source}: {line}" for line in lines)) from None


def _describe(error: dict[str, Any]) -> str:
    where = ".".join(map(str, error["loc"])) or "experiment"
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key; {_expected(str(error['loc'][-1]), _keys_at(error['loc'][:-1]))}"
    if error["type"] == "value_error":
        return f"{where}: {error['ctx']['error']}"
    if error["type"] == "missing":
        return f"{where}: missing"
    return f"{where}: found {error['input']!r}; {error['msg']}"


def _expected(found: str, known) -> str:
    near = difflib.get_close_matches(found, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(sorted(known))}"


def _keys_at(path: tuple) -> list[str]:
    """The keys that the schema allows at a path of the experiment file."""
    schema = Experiment.model_json_schema()
    node = schema
    for part in path:
        node = _resolve(schema, node)
        named = [node.get("properties", {}).get(part), *node.get("patternProperties", {}).values()]
        node = next((child for child in named if child), {})
    return list(_resolve(schema, node).get("properties", {}))


def _resolve(schema: dict, node: dict) -> dict:
    for option in node.get("anyOf", []):
        if "$ref" in option:
            node = option
    return schema["$defs"][node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else node


def json_schema() -> str:
    return json.dumps(Experiment.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    Path("config/schema.json").write_text(json_schema())
