"""The keys of a recipe: loss, what is inherited, optimiser, batches, schedule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mtpd.experiment.errors import expected
from mtpd.experiment.schema_types import Model, Name, Scale, Settings

INHERIT = ("first", "each", "none")  # any other value is the name of a detector

# The losses and their options: one file each in ``mtpd.distill.losses``.
LOSS_OPTIONS: dict[str, tuple[str, ...]] = {
    "feature-matching": ("weight",),
    "cwd": ("weight", "tau"),
    "fgd": ("alpha", "beta", "gamma", "lambda_", "tau"),
    "mgd": ("alpha", "alpha_mean", "mask_ratio"),
    "pkd": ("weight",),
}


class Loss(Model):
    name: Literal[*LOSS_OPTIONS]
    options: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict, description="weights of the loss by name; by default its authors'"
    )
    adaptors: Literal["where-needed", "always", "later-stages", "from-identity"] = Field(
        "where-needed",
        description="learnt 1x1 convolutions from the student's channels to the teacher's: where their "
        "numbers differ, or always, or always after stage 1; those from-identity begin as the identity where "
        "the numbers are equal",
    )

    @model_validator(mode="after")
    def _options_exist(self) -> Loss:
        for option, value in self.options.items():
            if option not in LOSS_OPTIONS[self.name]:
                raise ValueError(
                    f"options: {self.name} has no {option!r}; {expected(option, LOSS_OPTIONS[self.name])}"
                )
            if (option == "tau" and value == 0) or (option == "mask_ratio" and value > 1):
                allowed = "more than 0" if option == "tau" else "0 to 1"
                raise ValueError(f"options.{option}: found {value}; expected {allowed}")
        return self


FLAT, FINAL = 0.5, 0.05  # of RTMDet's schedule, mmdet's configs/rtmdet/rtmdet_l_8xb32-300e_coco.py


class Schedule(Model):
    """Learning rate during a stage; every stage starts its own schedule."""

    kind: Literal["step", "one-cycle", "cosine"] = "step"
    milestones: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (2 / 3, 11 / 12), description="when the rate drops, as fractions of the stage"
    )
    gamma: float = Field(0.1, gt=0, description="factor at each drop")
    warmup_iters: int = Field(500, ge=0, description="iterations of linear warm-up from 0.001")
    # Left out where they have their default: results of versions without these keys stay valid.
    flat: float = Field(
        FLAT,
        ge=0,
        le=0.99,
        exclude_if=lambda part: part == FLAT,
        description="of cosine: the fraction of the stage before the rate falls",
    )
    final: float = Field(
        FINAL,
        ge=0,
        le=1,
        exclude_if=lambda factor: factor == FINAL,
        description="of cosine: the rate at the end of the stage, as a factor",
    )


class Average(Model):
    """Moving average of the student's weights; the defaults are those of YOLOX and RTMDet in mmdet."""

    momentum: float = Field(2e-4, gt=0, le=1, description="weight of the newest weights, late in training")
    gamma: int = Field(
        2000, ge=1, description="steps in which the momentum falls by a factor e, from nearly 1 at the first"
    )


class Recipe(Model):
    """How a stage trains the student."""

    base: Name | None = Field(
        None,
        exclude=True,  # its keys are written out before (``bases.with_bases``), so it is always None
        description="another recipe, whose keys this one has, too; a key that is given here replaces that "
        "of the base as a whole",
    )
    loss: Loss | None = Field(None, description="distillation loss; none for training without a teacher")
    inherit: Name = Field(
        "first",
        description="whose neck and heads the student takes: first (stage 1 takes its teacher's), each "
        "(every stage takes its own teacher's), none, or a detector's name (stage 1 takes that one's, "
        "also without a teacher)",
    )
    optimizer: Settings = Field(
        default_factory=lambda: {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
    )
    paramwise: Settings | None = Field(
        None, description="other rates or weight decay for some parameters: mmengine's paramwise_cfg"
    )
    clip_grad: float = Field(35, gt=0, description="maximum gradient norm")
    batch_size: int = Field(16, ge=1, description="images of a step, on all GPUs together")
    micro_batch_size: int | None = Field(
        None,
        ge=1,
        description="images of one forward and backward pass, whose losses are normalised together; by "
        "default all images of the step",
    )
    scales: tuple[Scale, ...] | None = Field(
        None,
        min_length=1,
        description="sizes of training images, one drawn for each image; by default the data set's scale",
    )
    augment: tuple[Settings, ...] | None = Field(
        None,
        min_length=1,
        exclude_if=lambda steps: steps is None,  # results of versions without this key stay valid
        description="mmdet's transforms of a training image, with their arguments, after resizing",
    )
    start: Literal["config", "student"] = Field(
        "config",
        description="stage 1 starts from the weights that the config names, or from the student detector's",
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="of training; float16 needs GPUs"
    )
    tf32: bool = Field(
        True,
        exclude_if=lambda allowed: allowed,  # results of versions without this key stay valid
        description="let convolutions on GPUs round their inputs to TF32, as torch does by default",
    )
    ema: Average | None = Field(
        None,
        exclude_if=lambda average: average is None,  # results of versions without this key stay valid
        description="score and publish a moving average of the student's weights",
    )
    schedule: Schedule = Schedule()
    validate_every: int = Field(1, ge=1, description="epochs between two validations")

    @model_validator(mode="after")
    def _optimizer_has_a_rate(self) -> Recipe:
        rate = self.optimizer.get("lr")
        if not isinstance(self.optimizer.get("type"), str):
            raise ValueError("optimizer: expected 'type', the name of a torch optimiser, like SGD or AdamW")
        if not isinstance(rate, (int, float)) or not 0 <= rate < float("inf"):
            text = " (YAML reads 8e-4 as text, and 8.0e-4 as a number)" * isinstance(rate, str)
            found = ", ".join(sorted(self.optimizer.keys() - {"type"}))
            text += f"; the arguments are {found}" * (rate is None)
            raise ValueError(f"optimizer.lr: found {rate!r}; expected a number, at least 0{text}")
        return self

    @model_validator(mode="after")
    def _transforms_have_a_type(self) -> Recipe:
        for number, step in enumerate(self.augment or ()):
            if not isinstance(step.get("type"), str):
                raise ValueError(f"augment.{number}: expected 'type', the name of a transform of mmdet")
        return self

    @model_validator(mode="after")
    def _one_cycle_has_one_rate(self) -> Recipe:
        """mmengine's one-cycle schedule gives every parameter the same rate."""
        if self.schedule.kind == "one-cycle" and "lr_mult" in str(self.paramwise):
            raise ValueError(
                "paramwise: found a factor of the learning rate (lr_mult), which schedule.kind: one-cycle "
                "would ignore; expected none, or schedule.kind: step or cosine"
            )
        return self
