"""What must hold between the keys of an experiment file, beyond the type of each."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from mtpd.experiment import chains, input_files, name_lengths, policies, rows
from mtpd.experiment.errors import expected
from mtpd.experiment.folders import REHEARSAL
from mtpd.experiment.recipe_schema import INHERIT
from mtpd.experiment.schema import SEVERAL_CHAINS, Experiment


def unknown_names(experiment: Experiment) -> list[str]:
    """Names that refer to no key, a line each, starting with the key that has them."""
    return [
        f"{key}: found {found!r}, {expected(found, known)}"
        for key, found, known in _references(experiment)
        if found not in known
    ]


def problems(experiment: Experiment) -> list[str]:
    """What else is wrong where all names are known, a line each, starting with the key."""
    return [
        *(f"{key}: found one twice in {list(names)}" for key, names in _lists(experiment) if _repeats(names)),
        *_name_problems(experiment),
        *(line for arm in experiment.arms for line in _arm_problems(experiment, arm)),
        *name_lengths.too_long(experiment, on_cluster=False),
        *_detector_problems(experiment),
        *_data_problems(experiment),
        *_precision_problems(experiment),
        *_augment_problems(experiment),
        *_batch_problems(experiment),
        *_tracker_problems(experiment),
    ]


def missing_files(experiment: Experiment) -> list[str]:
    """Configs and checkpoints that the experiment names and that do not exist, a line each."""
    return [
        f"{key}: no such file or folder: {path}"
        for key, path in input_files.named_files(experiment).items()
        if not Path(path).exists()
    ]


def missing_data(experiment: Experiment) -> list[str]:
    """Data that the experiment names, that do not exist and that it cannot download, a line each."""
    to_fetch = [path for paths in input_files.data_to_fetch(experiment).values() for path in paths]
    return [
        f"{key}: no such file or folder: {path}{_why_not_fetched(experiment, path)}"
        for key, path in input_files.named_data(experiment).items()
        if not Path(path).exists() and path not in to_fetch
    ]


def _why_not_fetched(experiment: Experiment, path: str) -> str:
    folder = str(Path(path).parent)
    if folder not in experiment.dataset.download:
        return ""
    return f" ({folder} has other files, so it is not downloaded: complete it, or move it away)"


def unknown_results(experiment: Experiment, known: set[str]) -> list[str]:
    """Arms that name a result of the paper which is not ``known``, a line each."""
    return [
        f"arms.{key}.paper: found {arm.paper!r}, {expected(arm.paper, known)}"
        for key, arm in experiment.arms.items()
        if arm.paper and arm.paper not in known
    ]


def _references(experiment: Experiment) -> Iterator[tuple[str, str, object]]:
    """Every name that refers to another key: its own key, the name, the names that exist."""
    detectors, recipes = experiment.detectors, experiment.recipes
    yield from (("students", student, detectors) for student in experiment.students)
    for pool, teachers in experiment.pools.items():
        yield from ((f"pools.{pool}", teacher, detectors) for teacher in teachers)
    for key, detector in detectors.items():
        if detector.train:
            yield f"detectors.{key}.train.recipe", detector.train.recipe, recipes
    for key, recipe in recipes.items():
        yield f"recipes.{key}.inherit", recipe.inherit, (*INHERIT, *detectors)
    for key, arm in experiment.arms.items():
        yield f"arms.{key}.recipe", arm.recipe, recipes
        if arm.pool:
            yield f"arms.{key}.pool", arm.pool, experiment.pools
        for teacher in chains.parse(arm.chain).teachers if arm.chain else ():
            yield f"arms.{key}.chain", teacher, detectors
        yield from ((f"arms.{key}.students", student, experiment.students) for student in arm.students or ())
        yield from ((f"arms.{key}.against", control, experiment.arms) for control in arm.against)


def _lists(experiment: Experiment) -> Iterator[tuple[str, tuple]]:
    """Every list that must not contain duplicates, and its key."""
    yield "students", experiment.students
    yield "seeds", experiment.seeds
    yield from ((f"pools.{name}", pool) for name, pool in experiment.pools.items())
    yield from ((f"arms.{name}.seeds", arm.seeds or ()) for name, arm in experiment.arms.items())
    yield from ((f"arms.{name}.students", arm.students or ()) for name, arm in experiment.arms.items())
    yield from ((f"arms.{name}.against", arm.against) for name, arm in experiment.arms.items())


def _repeats(names: tuple) -> bool:
    return len(set(names)) < len(names)


def _arm_problems(experiment: Experiment, key: str) -> Iterator[str]:
    arm = experiment.arms[key]
    if experiment.recipes[arm.recipe].loss is None and (arm.policy or chains.parse(arm.chain).teachers):
        yield f"arms.{key}: recipe {arm.recipe!r} has no loss to distill with"
    for student in rows.students(experiment, key) if arm.policy else ():
        teachers = len(set(experiment.pools[arm.pool]) - {student})
        stages = rows.longest_chain(experiment, key, student)
        if not teachers:
            yield f"pools.{arm.pool}: expected a teacher other than the student {student!r}"
        elif wrong := _pool_size_problem(arm.policy, teachers, experiment.order.max_teachers):
            yield f"arms.{key}.policy: found {arm.policy!r} with a pool of {teachers}; {wrong}"
        elif arm.epochs < stages:
            yield f"arms.{key}.epochs: found {arm.epochs}; expected one for each of up to {stages} stages"
    if arm.paper and len(rows.students(experiment, key)) > 1:
        yield f"arms.{key}.paper: a result has one student; expected one in 'students' of the arm"
    for control in arm.against:
        if wrong := _control_problem(experiment, key, control):
            yield f"arms.{key}.against: found {control!r}{wrong}"


def _pool_size_problem(policy: str, teachers: int, max_teachers: int) -> str | None:
    """Why a policy cannot order that many teachers, if so."""
    if policy == "all" and teachers > policies.MOST_TO_PERMUTE:
        return f"expected at most {policies.MOST_TO_PERMUTE} teachers, because every order is a row"
    if policy == "pairs" and teachers < 2:
        return "expected at least 2 teachers"
    sequences = policies.count_sequences(teachers, max_teachers)
    if policy in ("min-max", "min-sum") and sequences > policies.MOST_SEQUENCES:
        return (
            f"with order.max_teachers: {max_teachers}, these are {sequences} sequences to look at; "
            f"expected at most {policies.MOST_SEQUENCES}"
        )
    return None


def _control_problem(experiment: Experiment, key: str, control: str) -> str | None:
    """Why an arm cannot be compared with a control arm, if so."""
    if control == key:
        return ", the arm itself; expected another arm"
    policy = experiment.arms[control].policy
    if policy in SEVERAL_CHAINS:
        return f", whose policy {policy!r} gives several chains; expected an arm with one chain per student"
    for what, of in (("seed", rows.seeds), ("student", rows.students)):
        own = of(experiment, key)
        if not set(own) & set(of(experiment, control)):
            return (
                f", which shares no {what} with {key!r}; expected at least one of {', '.join(map(str, own))}"
            )
    return None


def _name_problems(experiment: Experiment) -> Iterator[str]:
    for key, name in (("experiment", experiment.experiment), ("dataset.name", experiment.dataset.name)):
        if name == REHEARSAL:
            yield f"{key}: {name!r} is the folder of rehearsals; choose another name"
    for key in ("detectors", "recipes", "arms"):
        for name in filter(_is_no_text_in_a_table, getattr(experiment, key)):
            yield f"{key}.{name}: tables would read this name as a number or as missing; choose another name"


def _detector_problems(experiment: Experiment) -> Iterator[str]:
    for name in {chains.NO_TEACHER, *INHERIT} & set(experiment.detectors):
        yield f"detectors.{name}: {name!r} has another meaning; choose another name"
    for key, detector in experiment.detectors.items():
        if detector.train and experiment.recipes[detector.train.recipe].start == "student":
            yield (
                f"detectors.{key}.train.recipe: found a recipe with start: student; "
                "a detector cannot be trained from itself"
            )
        if detector.train and (source := experiment.recipes[detector.train.recipe].inherit) not in INHERIT:
            yield (
                f"detectors.{key}.train.recipe: found a recipe with inherit: {source}; "
                "a detector is trained without another; expected a recipe of its own"
            )


def _data_problems(experiment: Experiment) -> Iterator[str]:
    generate = experiment.dataset.generate
    if generate and generate.train < 2 and rows.ordered_pools(experiment):
        yield "dataset.generate.train: found 1; expected at least 2, because an arm has a policy"
    for key, path in input_files.named_data(experiment).items():
        if not key.endswith(".annotations") and Path.cwd().is_relative_to(Path(path).resolve()):
            yield (
                f"{key}: found {path!r}, in which this run writes its results; expected a folder that has "
                "nothing but the data"
            )


def _is_no_text_in_a_table(name: str) -> bool:
    """Whether pandas takes a cell with this text for something else."""
    try:
        float(name)
    except ValueError:
        return name.lower() in ("na", "nan", "none", "null", "true", "false")
    return True


def _precision_problems(experiment: Experiment) -> Iterator[str]:
    for key, recipe in experiment.recipes.items():
        if recipe.precision == "float16" and not experiment.compute.gpus:
            yield f"recipes.{key}.precision: float16 needs compute.gpus; on CPUs, bfloat16"


def _augment_problems(experiment: Experiment) -> Iterator[str]:
    """Transforms follow the resizing, so an image at another scale would lack them."""
    for key, arm in experiment.arms.items():
        teachers = experiment.pools[arm.pool] if arm.pool else chains.parse(arm.chain).teachers
        names = {*rows.students(experiment, key), *teachers}
        scales = {experiment.detectors[name].image_scale for name in names}
        if experiment.recipes[arm.recipe].augment and len(scales) > 1:
            yield f"recipes.{arm.recipe}.augment: expected one image_scale of all detectors of arms.{key}"


def _batch_problems(experiment: Experiment) -> Iterator[str]:
    """Steps that cannot be divided evenly among the GPUs, and their shares not into micro-batches."""
    gpus = max(1, experiment.compute.gpus)
    for key, recipe in experiment.recipes.items():
        share, rest = divmod(recipe.batch_size, gpus)
        micro_batch = recipe.micro_batch_size or recipe.batch_size
        if rest:
            found = f"found {recipe.batch_size}; expected a multiple of compute.gpus, {gpus}"
            yield f"recipes.{key}.batch_size: {found}"
        elif share % micro_batch:
            found = recipe.micro_batch_size or "none, so all of batch_size"
            yield (
                f"recipes.{key}.micro_batch_size: found {found}; expected a number that divides {share}, the "
                f"images of a step on each of {gpus} processes (compute.gpus)"
            )


def _tracker_problems(experiment: Experiment) -> Iterator[str]:
    for name in experiment.trackers:
        if name != "tensorboard" and not find_spec(name):  # that one belongs to the pinned set
            yield f"trackers: {name} is not installed: pip install {name}"
