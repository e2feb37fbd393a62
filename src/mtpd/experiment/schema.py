"""The experiment file: what may stand in it, and what it means.

These models are the reference; ``config/schema.json`` is generated from them (``python -m mtpd.config``).
Reading an experiment imports neither torch nor mmdet.
"""

from __future__ import annotations

import ast
import difflib
import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from mtpd import chains

Name = Annotated[str, StringConstraints(pattern=f"^{chains.NAME}$")]
Policy = Literal["bgs", "reverse", "by-ap", "strongest", "all"]
Names = tuple[Name, ...]
Seed = Annotated[int, Field(ge=0)]
MOST_TO_PERMUTE = 5
MMDET = "mmdet::"  # begins the names of configs that come with mmdet

# The losses and their options: a file each in ``mtpd.losses``, which imports torch, as this module does not.
LOSS_OPTIONS: dict[str, tuple[str, ...]] = {
    "feature-matching": ("weight",),
    "cwd": ("weight", "tau"),
    "fgd": ("alpha", "beta", "gamma", "lambda_", "tau"),
    "mgd": ("alpha", "alpha_mean", "mask_ratio"),
    "pkd": ("weight",),
}


class ConfigError(ValueError):
    """The experiment file says something that cannot be; the message names the key."""


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Generate(Model):
    """The embedded data set, 'shapes'."""

    train: int = Field(800, ge=1, description="training images")
    val: int = Field(200, ge=1, description="validation images")
    size: int = Field(128, ge=32, description="side of an image, pixels")
    seed: Seed = 0


class Split(Model):
    annotations: str = Field(min_length=1, description="COCO annotation file")
    images: str = Field(min_length=1, description="folder of the images")


class Dataset(Model):
    """One COCO-format data set: generated, or two splits on disk."""

    name: Name
    generate: Generate | None = None
    train: Split | None = None
    val: Split | None = None
    scale: tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]] = Field(
        (1333, 800), description="width and height images are resized into, pixels"
    )
    skip_bad_boxes: bool = Field(
        False, description="train without boxes that are empty or outside their image; otherwise an error"
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

    config: str = Field(
        pattern=r"^(mmdet::)?[^:]+\.py$", description="mmdet config: a file, or mmdet::folder/name.py"
    )
    overrides: dict[str, Any] = Field(default_factory=dict, description="changes to it, by dotted key")
    image_scale: float = Field(1, gt=0, le=8, description="of its images, relative to the data set's scale")
    taps: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="modules whose outputs are its features; the neck's, found, if not given",
    )
    train: Train | None = None
    file: str | None = Field(None, description="checkpoint on disk")
    url: str | None = Field(None, pattern="^(https?|file)://", description="checkpoint to download")
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
        1e-4, ge=0, le=1, description="ridge of the fit, per position, channels being standardised"
    )
    seed: Seed = 0


class Loss(Model):
    name: Literal[*LOSS_OPTIONS]
    options: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict, description="weights, by the loss's own names; its authors' if not given"
    )

    @model_validator(mode="after")
    def _options_exist(self) -> Loss:
        for option, value in self.options.items():
            if option not in LOSS_OPTIONS[self.name]:
                raise ValueError(
                    f"options: {self.name} has no {option!r}; {_expected(option, LOSS_OPTIONS[self.name])}"
                )
            if (option == "tau" and value == 0) or (option == "mask_ratio" and value > 1):
                expected = "more than 0" if option == "tau" else "0 to 1"
                raise ValueError(f"options.{option}: found {value}; expected {expected}")
        return self


class Schedule(Model):
    """Learning rate over a stage; it starts afresh in every stage."""

    kind: Literal["step", "one-cycle"] = "step"
    milestones: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (2 / 3, 11 / 12), description="steps, as parts of the stage"
    )
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
    start: Literal["config", "student"] = Field(
        "config", description="stage 1 starts from the config's own weights, or from the student detector's"
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="of training, on GPUs"
    )
    schedule: Schedule = Schedule()
    validate_every: int = Field(1, ge=1, description="epochs between two validations")

    @model_validator(mode="after")
    def _optimizer_has_a_rate(self) -> Recipe:
        rate = self.optimizer.get("lr")
        if not isinstance(self.optimizer.get("type"), str):
            raise ValueError("optimizer: expected 'type', the name of a torch optimiser, like SGD or AdamW")
        if not isinstance(rate, (int, float)) or not 0 <= rate < float("inf"):
            raise ValueError(f"optimizer.lr: found {rate!r}; expected a number, at least 0")
        return self


class Compute(Model):
    """What a training job takes."""

    threads: int = Field(1, ge=1, description="CPU cores")
    workers: int | None = Field(
        None, ge=0, description="data loaders of each process; with GPUs a core each if not given, else none"
    )
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
    seeds: tuple[Seed, ...] | None = Field(None, min_length=1, description="the experiment's, if not given")
    students: Names | None = Field(None, min_length=1, description="the experiment's, if not given")

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
    students: Names = Field(min_length=1)
    pools: dict[Name, Annotated[Names, Field(min_length=1)]] = Field(default_factory=dict)
    order: Order = Order()
    recipes: dict[Name, Recipe]
    arms: dict[Name, Arm] = Field(min_length=1)
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _names_exist(self) -> Experiment:
        for key, found, known in self._references():
            if found not in known:
                raise ValueError(f"{key}: found {found!r}, {_expected(found, known)}")
        for key, names in self._lists():
            if len(set(names)) < len(names):
                raise ValueError(f"{key}: found one twice in {list(names)}")
        for key in self.arms:
            self._check_arm(key)
        for key, detector in self.detectors.items():
            if detector.train and self.recipes[detector.train.recipe].start == "student":
                raise ValueError(
                    f"detectors.{key}.train.recipe: found one whose start is 'student'; "
                    "a detector cannot be trained from itself"
                )
        for key, recipe in self.recipes.items():
            if recipe.precision == "float16" and not self.compute.gpus:
                raise ValueError(f"recipes.{key}.precision: float16 needs compute.gpus; on CPUs, bfloat16")
        if chains.NO_TEACHER in self.detectors:
            raise ValueError("detectors.none: 'none' means 'no teacher'; choose another name")
        return self

    def _check_arm(self, key: str) -> None:
        arm = self.arms[key]
        if self.recipes[arm.recipe].loss is None and (arm.policy or chains.parse(arm.chain).teachers):
            raise ValueError(f"arms.{key}: recipe {arm.recipe!r} has no loss to distill with")
        if not arm.policy:
            return
        for student in self.arm_students(key):
            teachers = len(set(self.pools[arm.pool]) - {student})
            if not teachers:
                raise ValueError(f"pools.{arm.pool}: expected a teacher other than the student {student!r}")
            if arm.policy == "all" and teachers > MOST_TO_PERMUTE:
                raise ValueError(
                    f"arms.{key}.policy: found 'all' of {teachers} teachers; expected at most "
                    f"{MOST_TO_PERMUTE} of them, every order being a row"
                )
            stages = teachers if arm.policy == "all" else self.most_stages(key, student)
            if arm.epochs < stages:
                raise ValueError(
                    f"arms.{key}.epochs: found {arm.epochs}; expected one for each of up to {stages} stages"
                )

    def _lists(self):
        """Every list in which nothing may stand twice, and its key."""
        yield "students", self.students
        yield "seeds", self.seeds
        yield from ((f"pools.{name}", pool) for name, pool in self.pools.items())
        yield from ((f"arms.{name}.seeds", arm.seeds or ()) for name, arm in self.arms.items())
        yield from ((f"arms.{name}.students", arm.students or ()) for name, arm in self.arms.items())

    def _references(self):
        for student in self.students:
            yield "students", student, self.detectors
        for pool, teachers in self.pools.items():
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

    def files(self) -> dict[str, str]:
        """The files and folders on disk that the experiment names, by key."""
        named = {}
        for split in ("train", "val"):
            given = getattr(self.dataset, split)
            named |= {f"dataset.{split}.{k}": path for k, path in given.model_dump().items()} if given else {}
        for name, detector in self.detectors.items():
            if not detector.config.startswith(MMDET):
                named[f"detectors.{name}.config"] = detector.config
            if detector.file:
                named[f"detectors.{name}.file"] = detector.file
        return named

    def require_files(self, source: str) -> None:
        """Check that what the experiment names on disk is there.

        Raises:
            ConfigError: with one line for each key whose file or folder is not.
        """
        absent = {key: path for key, path in self.files().items() if not Path(path).exists()}
        if absent:
            lines = [f"{source}: {key}: no such file or folder: {path}" for key, path in absent.items()]
            raise ConfigError("\n".join(lines))

    def most_stages(self, arm: str, student: str) -> int:
        """How many stages an arm has at most for a student and seed, whatever order its policy will give."""
        spec = self.arms[arm]
        if spec.chain:
            return len(chains.parse(spec.chain).stages)
        teachers = len(set(self.pools[spec.pool]) - {student})
        if spec.policy == "strongest":
            return 1
        if spec.policy in ("bgs", "reverse"):
            return min(teachers, self.order.max_teachers)
        return teachers * (math.factorial(teachers) if spec.policy == "all" else 1)

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


def config_sources(config: str) -> list[str]:
    """The files on disk that an mmdet config is made of: itself and, by ``_base_``, what it builds on.

    Configs that come with mmdet are left out: its version is pinned.

    Raises:
        ConfigError: a file is missing, or is not Python.
    """
    if config.startswith(MMDET):
        return []
    sources = [config]
    try:
        tree = ast.parse(Path(config).read_text(), config)
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError(f"{config}: cannot be read as an mmdet config: {error}") from None
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "_base_":
            bases = ast.literal_eval(node.value)
            for base in [bases] if isinstance(bases, str) else bases:
                inside = base.startswith(MMDET)
                sources += config_sources(base if inside else str(Path(config).parent / base))
    return list(dict.fromkeys(sources))


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
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key; {_expected(str(error['loc'][-1]), _keys_at(error['loc'][:-1]))}"
    if error["type"] == "value_error":
        return f"{where}: {error['ctx']['error']}".removeprefix(": ")
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
