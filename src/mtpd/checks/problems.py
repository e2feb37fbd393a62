"""What is checked with torch: data, detectors, recipes, pairs of student and teacher."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache, cached_property

from mmengine.optim import build_optim_wrapper
from mmengine.registry import OPTIMIZERS
from torch import nn

from mtpd import files
from mtpd.checks import augmenting, counts, registries, usage
from mtpd.checks.subjects import Kind, Passed, Subject
from mtpd.checks.trainable import try_loss
from mtpd.data import coco
from mtpd.datasets import shapes
from mtpd.detectors import checkpoints, class_names, configs, taps
from mtpd.detectors.inherit import InheritError, inherit
from mtpd.detectors.initial import start_from
from mtpd.detectors.operators import require_cuda_operators
from mtpd.training import optimisation


class Wrong(Exception):
    """The problems of a subject, a line each."""

    def __init__(self, *lines: str):
        super().__init__("\n".join(lines))
        self.lines = lines


class Unusable(Exception):
    """A detector of a pair cannot be built; its own check says why."""


def problems(spec: dict, passed: Passed, say: Callable[[str], None]) -> list[str]:
    """All problems of what has not passed, a line each: where, what was found, what to do.

    Args:
        spec: of ``mtpd.experiment.specs.checks``.
        passed: of the same spec; what passes is added.
        say: takes lines of progress.
    """
    checks, to_check = Checks(spec, say), passed.to_check()
    for methods in ROUNDS:
        subjects = [subject for subject in to_check if subject[0] in methods]
        found = [line for subject in subjects for line in _problems(checks, methods, subject, passed)]
        if found:
            return list(dict.fromkeys(found))
    return []


def _problems(checks: Checks, methods: Round, subject: Subject, passed: Passed) -> tuple[str, ...]:
    kind, *names = subject
    try:
        passed.add(subject, methods[kind](checks, *names) or {})
    except Wrong as wrong:
        return wrong.lines
    except Unusable:
        pass
    return ()


class Checks:
    """A method for each kind of subject: it gives facts to remember, or raises ``Wrong`` or ``Unusable``."""

    def __init__(self, spec: dict, say: Callable[[str], None]):
        self.dataset, self.specs, self.recipes = spec["dataset"], spec["detectors"], spec["recipes"]
        self.say = say
        self.attempt, self.taps = cache(self._attempt), cache(self._taps)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        if stands_in_for := self.dataset.get("stands_in_for"):
            return coco.classes_to_draw(stands_in_for)
        generated = self.dataset["generated"]
        return shapes.CLASSES if generated else coco.classes_of(self.dataset["train"]["annotations"])

    def split(self, name: str) -> dict:
        content = files.read_json(self.dataset[name]["annotations"])
        try:
            used = self._used(name, content)
        except usage.Unused as error:
            raise Wrong(f"dataset.{name}: {error}") from None
        return {"images": len(content["images"]), "most": counts.most(content), "used": used}

    def _used(self, name: str, content: dict) -> str:
        if name != "train":
            return usage.scoring(content)
        return usage.training(content, self.dataset["min_image_side"], self.dataset["skip_empty_images"])

    def masks(self, name: str) -> None:
        content = files.read_json(self.dataset[name]["annotations"])
        masks = any(map(_has_masks, self.specs.values()))
        if masks and (found := usage.without_masks(content)):
            raise Wrong(f"dataset.{name}: {found}")

    def detector(self, name: str) -> dict:
        spec, built = self.specs[name], self.attempt(name)
        begins = f"detectors.{name}: {spec['config']}"
        if isinstance(built, Exception):
            raise Wrong(f"{begins}: {_first_line(built)}")
        masks = _has_masks(spec)
        try:
            if spec["trained"]:
                try_loss(built, masks)
        except Exception as error:  # a detector can raise anything
            given = "boxes and masks" if masks else "boxes"
            raise Wrong(
                f"{begins}: cannot be trained here, its loss fails with {given} alone: {_first_line(error)}; "
                "take another config, or use it only as a teacher that has 'file' or 'url'"
            ) from error
        numbers = sum(tensor.numel() for tensor in built.state_dict().values())
        limits = counts.limits(getattr(built, "test_cfg", None))
        return {"numbers": numbers, "masks": masks, "limits": limits}

    def recipe(self, name: str) -> None:
        recipe = self.recipes[name]
        for number, step in enumerate(recipe.get("augment") or ()):
            if found := augmenting.problem(step):
                raise Wrong(f"recipes.{name}.augment.{number}: {found}")
        kind = recipe["optimizer"]["type"]
        if found := registries.unknown(kind, OPTIMIZERS, "a torch optimiser"):
            raise Wrong(f"recipes.{name}.optimizer.type: {found}")
        try:
            build_optim_wrapper(nn.Linear(1, 1), optimisation.optim_wrapper(recipe))
        except Exception as error:  # torch says what is wrong with the arguments
            raise Wrong(f"recipes.{name}.optimizer: {_first_line(error)}") from error

    def pair(self, student: str, teacher: str) -> None:
        """Whether the student can learn from the teacher: both have taps, and a stride in common."""
        found = [self.taps(name) for name in (student, teacher)]
        try:
            taps.pair_by_stride(*found)
        except ValueError as error:
            raise Wrong(f"detectors.{student} and {teacher}: {error}") from error

    def inheriting(self, student: str, source: str) -> None:
        """Whether something of a detector fits the student that shall take its neck and heads."""
        own, theirs = self._built(student), self._built(source)
        try:
            if student != source:
                inherit(copy.deepcopy(own), theirs.state_dict())
        except InheritError as error:
            raise Wrong(f"detectors.{student} and {source}: {error}") from error

    def operators(self) -> None:
        try:
            require_cuda_operators()
        except RuntimeError as error:
            raise Wrong(f"compute.gpus: {error}") from error

    def _attempt(self, name: str) -> nn.Module | Exception:
        """A detector, or why it cannot be built."""
        try:
            return _build(self.specs[name], self.classes, self.say)
        except Exception as error:  # a user's config can raise anything
            return error

    def _built(self, name: str) -> nn.Module:
        built = self.attempt(name)
        if isinstance(built, Exception):
            raise Unusable
        return built

    def _taps(self, name: str) -> list[taps.Tap]:
        built = self._built(name)
        try:
            return taps.find_taps(built, self.specs[name]["taps"])
        except Exception as error:  # also whatever its forward pass raises
            raise Wrong(f"detectors.{name}: {_first_line(error)}") from error


Round = dict[Kind, Callable[..., dict | None]]

# What checks a subject, by its kind. A round is checked if nothing was wrong in those before: detectors are
# built for the classes of sound data.
ROUNDS: tuple[Round, ...] = (
    {Kind.SPLIT: Checks.split},
    {Kind.MASKS: Checks.masks},
    {
        Kind.DETECTOR: Checks.detector,
        Kind.RECIPE: Checks.recipe,
        Kind.PAIR: Checks.pair,
        Kind.INHERITING: Checks.inheriting,
        Kind.OPERATORS: Checks.operators,
    },
)


def _has_masks(spec: dict) -> bool:
    try:
        model = configs.load_config(spec["config"], spec["overrides"], ("one",)).model
    except Exception:  # reported when the detector is built
        return False
    return "mask_head" in (model.get("roi_head") or {})


def _build(spec: dict, classes: tuple[str, ...], say: Callable[[str], None]) -> nn.Module:
    """A detector, with the weights of its file if it has one, or with those that it starts from.

    Args:
        spec: of the detector.
        classes: of the data.
        say: takes a line where some of its classes are not the data's; and see ``checkpoints.load_weights``.

    Raises:
        CheckpointError: the file does not fit, or none of its classes is the data's.
    """
    if not spec["file"]:
        config = configs.load_config(spec["config"], spec["overrides"], classes)
        detector = configs.build(configs.without_pretraining(config))
        if path := (initial := spec.get("initial", {})).get("file"):
            files.require_hash(path, initial["sha256"] or "")
            start_from(detector, path, spec, classes, initial["class_rows"], say)
        return detector
    files.require_hash(spec["file"], spec["sha256"] or "")
    detector = checkpoints.load(spec, spec["file"], classes, say)
    own = detector.dataset_meta["classes"]
    differences = class_names.differences(own, classes)
    if not set(own) & set(classes):
        raise checkpoints.CheckpointError(
            f"{spec['file']}: none of its classes is a class of the data set: {differences}"
        )
    if differences:
        say(f"{spec['file']}: only classes of equal names are the same: {differences}")
    return detector


def _first_line(error: Exception) -> str:
    if type(error) in (ValueError, checkpoints.CheckpointError):  # they have the words of this project
        return str(error)
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
