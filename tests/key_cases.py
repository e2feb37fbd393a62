"""Keys of an experiment file, each with another value, by what it must change; and those that need none."""

from typing import get_args, get_origin

from conftest import spec
from few import FIND_ANYTHING

from mtpd.experiment.schema import Model

STAGES = {"arms.arm.chain": "teacher@1+other@1"}
EPOCHS = {"arms.arm.chain": "teacher@2"}
COSINE = {"recipes.pkd.schedule.kind": "cosine"}
ONE_TAP = ["neck.fpn_convs.0.conv"]
STARTED = {
    "detectors.student": {
        "config": spec("r18_w8")["config"],
        "overrides": FIND_ANYTHING,
        "train": {"recipe": "pkd2", "epochs": 1},
    },
    "detectors.student.initial.file": "initial.pth",
    "recipes.pkd.inherit": "none",
}

# Key, another value, and what else the experiment has with both values.
WEIGHTS = [
    ("recipes.pkd.loss.name", "cwd", {}),
    ("recipes.pkd.loss.options.weight", 5.0, {}),
    ("recipes.pkd.loss.adaptors", "always", {}),
    ("recipes.pkd.loss.adaptors", "from-identity", {}),
    ("recipes.pkd.loss.adaptors", "later-stages", STAGES),
    ("recipes.pkd.inherit", "none", {}),
    ("recipes.pkd.inherit", "other", {}),
    ("recipes.pkd.inherit", "each", STAGES),
    ("recipes.pkd.optimizer.type", "RMSprop", {}),
    ("recipes.pkd.optimizer.lr", 0.02, {}),
    ("recipes.pkd.optimizer.momentum", 0.5, {}),
    ("recipes.pkd.optimizer.weight_decay", 0.1, {}),
    ("recipes.pkd.paramwise", {"norm_decay_mult": 0.0}, {}),
    ("recipes.pkd.clip_grad", 2.0, {}),
    ("recipes.pkd.batch_size", 4, {}),
    ("recipes.pkd.micro_batch_size", 1, {}),
    ("recipes.pkd.scales", [[64, 64], [96, 96]], {}),
    ("recipes.pkd.augment", [{"type": "PhotoMetricDistortion"}], {}),
    ("recipes.pkd.start", "student", {"recipes.pkd.inherit": "none"}),
    ("recipes.pkd.precision", "bfloat16", {}),
    ("recipes.pkd.ema", {}, {}),
    ("recipes.pkd.ema.momentum", 0.5, {"recipes.pkd.ema": {}}),
    ("recipes.pkd.ema.gamma", 1, {"recipes.pkd.ema": {}}),
    ("recipes.pkd.schedule.kind", "one-cycle", {}),
    ("recipes.pkd.schedule.kind", "cosine", EPOCHS),
    ("recipes.pkd.schedule.milestones", [1.0], EPOCHS),
    ("recipes.pkd.schedule.gamma", 0.5, EPOCHS),
    ("recipes.pkd.schedule.warmup_iters", 3, {}),
    ("recipes.pkd.schedule.flat", 0.0, {**EPOCHS, **COSINE}),
    ("recipes.pkd.schedule.final", 0.5, {**EPOCHS, **COSINE}),
    ("dataset.scale", [96, 96], {}),
    ("dataset.flip", 0.0, {}),
    ("dataset.skip_empty_images", False, {}),
    ("dataset.min_image_side", 16, {}),
    ("dataset.train.annotations", "moved.json", {}),
    ("dataset.train.images", "dark", {}),
    ("detectors.student.config", spec("r18_w4")["config"], {}),
    ("detectors.student.overrides", {**FIND_ANYTHING, "model.bbox_head.loss_cls.gamma": 1.0}, {}),
    ("detectors.student.image_scale", 1.5, {}),
    ("detectors.student.taps", ONE_TAP, {}),
    ("detectors.student.initial.file", "student.pth", STARTED),
    ("detectors.student.initial.class_rows", False, STARTED),
    ("detectors.teacher.overrides", {"model.data_preprocessor.mean": [0, 0, 0]}, {}),
    ("detectors.teacher.image_scale", 2.0, {}),
    ("detectors.teacher.taps", ONE_TAP, {}),
    ("detectors.teacher.file", "other.pth", {}),
    ("arms.arm.chain", "teacher@2", {}),
    ("seeds", [1], {}),
]
SCORES = [
    ("dataset.val.annotations", "fewer.json"),
    ("dataset.val.images", "dark"),
]
COSTS = [
    ("order.probe_images", 4),
    ("order.seed", 1),
    ("dataset.scale", [96, 96]),
    ("detectors.teacher.image_scale", 2.0),
    ("detectors.teacher.taps", ONE_TAP),
]
POLICY = {"recipe": "pkd", "policy": "all", "pool": "both", "epochs": 2}
ROWS = [
    ("students", ["other"], {}),
    ("seeds", [1], {}),
    ("arms.arm.recipe", "pkd2", {}),
    ("arms.arm.chain", "other@1", {}),
    ("arms.arm.seeds", [1], {}),
    ("arms.arm.students", ["other"], {"students": ["student", "other"]}),
    ("arms.arm.paper", "some-result", {}),
    ("arms.second.against", ["arm"], {"arms.second": {"recipe": "pkd", "chain": "teacher@2"}}),
    ("arms.arm.policy", "pairs", {"arms.arm": POLICY}),
    ("arms.arm.pool", "one", {"arms.arm": POLICY}),
    ("arms.arm.epochs", 3, {"arms.arm": POLICY}),
    ("pools.both", ["teacher"], {"arms.arm": POLICY}),
    ("rehearsal", True, {}),
]
DRAWN = {"train": 3, "val": 3, "size": 48, "seed": 1}
ELSEWHERE = {
    "recipes.*.validate_every": "test_epochs_between_two_validations",
    "dataset.evaluator": "test_the_evaluator_changes_no_number",
    "order.max_teachers": "test_the_most_teachers_of_an_order",
    **{f"dataset.generate.{key}": "test_the_generated_data_set" for key in DRAWN},
}
WHERE_FROM = "says where a file comes from, whose content counts"
RESOURCES = "how fast, not what"
NO_RESULT = {
    "include": "what is merged counts (tests/test_includes.py)",
    "recipes.*.base": "the keys that it brings count (tests/test_bases.py)",
    "experiment": "a name of folders",
    "dataset.name": "a name of folders",
    "dataset.source": WHERE_FROM,
    **{
        f"dataset.{key}": "what an import takes and refuses: tests/test_datasets_*.py"
        for key in ("classes", "strict", "decode", "allowed_share", "val.fraction", "val.seed")
    },
    **{
        f"dataset.test.{key}": "is reported, and chooses nothing (tests/test_tested.py)"
        for key in ("annotations", "images")
    },
    **{f"dataset.download.*.{key}": WHERE_FROM for key in ("url", "sha256", "bytes", "files")},
    **{f"detectors.*.{key}": WHERE_FROM for key in ("url", "sha256", "initial.url", "initial.sha256")},
    **{
        f"detectors.*.train.{key}": "another stage (tests/test_reruns.py)"
        for key in ("recipe", "epochs", "seed")
    },
    **{f"{part}.license": "for the cards of exported students" for part in ("dataset", "detectors.*")},
    **{f"compute.{key}": RESOURCES for key in ("threads", "workers", "gpus", "mem_mb", "runtime")},
    "trackers": "what training is watched with",
    "recipes.*.tf32": "changes convolutions on GPUs only; that torch is told: tests/test_recipe.py",
}


def keys(kind, path=()):
    """The keys below a type of the experiment file; ``*`` stands for a name that the user gives."""
    if isinstance(kind, type) and issubclass(kind, Model):
        return [
            key for name, field in kind.model_fields.items() for key in keys(field.annotation, (*path, name))
        ]
    inside = (*path, "*") if get_origin(kind) is dict else path
    below = [key for part in get_args(kind) for key in keys(part, inside) if len(key) > len(inside)]
    return list(dict.fromkeys(below)) or [path]


def as_in_the_schema(key):
    """``recipes.pkd.clip_grad`` as ``recipes.*.clip_grad``."""
    first, *rest = key.split(".")
    return ".".join(
        [first, "*", *rest[1:]] if first in ("recipes", "detectors", "arms", "pools") else [first, *rest]
    )
