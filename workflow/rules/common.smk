"""Paths and input functions: which file comes from which. Nothing here imports torch or mmdet."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from mtpd import chains, files
from mtpd.config import ConfigError, config_sources, load_experiment

EXPERIMENT_FILE = ", ".join(map(str, workflow.configfiles))

try:
    experiment = load_experiment(config, EXPERIMENT_FILE)
    experiment.require_files(EXPERIMENT_FILE)
    sources = {name: config_sources(detector.config) for name, detector in experiment.detectors.items()}
except ConfigError as error:
    raise WorkflowError(str(error)) from None

compute = experiment.compute
SCRIPTS = Path(workflow.basedir) / "workflow" / "scripts"

# What a command needs to find: this interpreter's programs, the scripts, and how to start a training job.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
shell.prefix(
    "set -euo pipefail; "
    f"export SCRIPTS='{SCRIPTS}'; "
    "export LAUNCH='"
    + (f"torchrun --standalone --nproc-per-node {compute.gpus}" if compute.gpus > 1 else "python")
    + "'; "
)


def one_of(names):
    """A wildcard's pattern: these names only."""
    return "|".join(map(re.escape, names)) or "(?!)"


def as_json(content):
    """The same text for the same settings, whatever their order in the experiment file."""
    return json.dumps(content, sort_keys=True)


wildcard_constraints:
    experiment=one_of([experiment.experiment]),
    dataset=one_of([experiment.dataset.name]),
    detector=one_of(experiment.detectors),
    student=one_of(experiment.detectors),
    pool=one_of(experiment.pools),
    recipe=one_of(experiment.recipes),
    chain=chains.CHAIN,
    seed=r"\d+",


DATASET = f"results/{experiment.dataset.name}"
EXPERIMENT = f"results/{experiment.experiment}"


# Data


def split_on_disk(split):
    """A split's annotations and images."""
    if experiment.dataset.generate:
        return {"annotations": f"{DATASET}/data/{split}.json", "images": f"{DATASET}/data/{split}"}
    return getattr(experiment.dataset, split).model_dump()


def dataset_spec():
    dataset = experiment.dataset
    spec = {"name": dataset.name, "scale": dataset.scale, "flip": dataset.flip}
    return {**spec, **{split: split_on_disk(split) for split in ("train", "val")}}


def annotations():
    return {split: split_on_disk(split)["annotations"] for split in ("train", "val")}


# Detectors


def detector_file(name, file):
    return f"{DATASET}/detectors/{name}/{file}"


def detector_spec(name):
    """What a script needs to build a detector."""
    return experiment.detectors[name].model_dump(include={"config", "overrides", "image_scale"})


def tapped_spec(name):
    """The same where its features are read."""
    return {**detector_spec(name), "taps": experiment.detectors[name].taps}


def config_files(names):
    """The files of these detectors' mmdet configs, those of mmdet's own left out."""
    return sorted({path for name in names for path in sources[name]})


def trained(name):
    """The stage that trains a detector without a teacher, as a folder."""
    train = experiment.detectors[name].train
    return stage_folder(name, train.recipe, f"{chains.NO_TEACHER}@{train.epochs}", train.seed)


# Stages


def stage_folder(student, recipe, chain, seed):
    return f"{DATASET}/students/{student}/{recipe}/{chain}/seed{seed}"


def stage_teachers(wildcards):
    return [detector_file(name, "weights.pth") for name in chains.parse(wildcards.chain).last.teachers]


def stage_configs(wildcards):
    return config_files([wildcards.student, *chains.parse(wildcards.chain).last.teachers])


def stage_parent(wildcards):
    parent = chains.parse(wildcards.chain).parent
    if parent is None:
        own = experiment.recipes[wildcards.recipe].start == "student"
        return [detector_file(wildcards.student, "weights.pth")] * own
    return f"{stage_folder(wildcards.student, wildcards.recipe, parent, wildcards.seed)}/student.pth"


def stage_spec(wildcards):
    """Everything that can change a stage's result, apart from its input files."""
    last = chains.parse(wildcards.chain).last
    recipe = experiment.recipes[wildcards.recipe].model_dump()
    if not last.teachers:
        recipe["loss"] = None
    return as_json(
        {
            "dataset": dataset_spec(),
            "student": (tapped_spec if last.teachers else detector_spec)(wildcards.student),
            "teachers": [tapped_spec(name) for name in last.teachers],
            "recipe": recipe,
            "epochs": last.epochs,
            "seed": int(wildcards.seed),
        }
    )


def loaders():
    """Data loaders of each training process: the cores that its GPU leaves over, or as the experiment says."""
    if compute.workers is not None:
        return compute.workers
    return max(0, compute.threads // compute.gpus - 1) if compute.gpus else 0


# Checks before the first job


def check_spec():
    """What ``mtpd.checks`` looks at."""
    dataset = {
        **dataset_spec(),
        "generated": bool(experiment.dataset.generate),
        "skip_bad_boxes": experiment.dataset.skip_bad_boxes,
    }
    named = [
        (name, arm, student)
        for name, arm in experiment.arms.items()
        for student in experiment.arm_students(name)
    ]
    stages = {}
    for name, arm, student in named:
        count = experiment.most_stages(name, student) * len(experiment.arm_seeds(name))
        stages[student] = stages.get(student, 0) + count
    for student in stages:
        done = len(list(Path(DATASET, "students", student).glob("*/*/*/student.pth")))
        stages[student] = max(0, stages[student] - done)
    return {
        "dataset": dataset,
        "detectors": {
            name: {**tapped_spec(name), "file": detector.file}
            for name, detector in experiment.detectors.items()
        },
        "recipes": {name: recipe.model_dump() for name, recipe in experiment.recipes.items()},
        "pairs": sorted({(student, teacher) for _, arm, student in named for teacher in arm_teachers(arm)}),
        "stages": stages,
    }


def arm_teachers(arm):
    return chains.parse(arm.chain).teachers if arm.chain else experiment.pools[arm.pool]


def check_first():
    """Stop before any job if something is wrong that can be known; what has passed is not looked at again."""
    if not importlib.util.find_spec("torch"):  # with --sdm conda, only the jobs have it
        logger.warning("Data and detectors are not checked before the first job: no torch here.")
        return
    spec = check_spec()
    looked_at = [*experiment.files().values(), *config_files(experiment.detectors)]
    marks = [(path, os.stat(path).st_mtime_ns) for path in looked_at]
    settings = {key: value for key, value in spec.items() if key != "stages"}
    folder = Path("work/checks") / files.fingerprint([settings, marks])
    if (folder / "passed").exists():
        return
    files.write_json(folder / "spec.json", spec)
    logger.info("Checking data, detectors and recipes before the first job ...")
    wrong = folder / "wrong"
    wrong.unlink(missing_ok=True)
    command = [sys.executable, SCRIPTS / "check.py", "--spec", folder / "spec.json"]
    command += ["--passed", folder / "passed", "--wrong", wrong]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise WorkflowError("Nothing was run:\n" + (wrong.read_text() if wrong.exists() else done.stderr))


# Orders


def order_file(student, pool, file):
    return f"{DATASET}/order/{student}/{pool}/{file}"


def order_members(wildcards):
    """The detectors between which costs are measured."""
    return sorted({wildcards.student, *experiment.pools[wildcards.pool]})


def ordered_pools():
    """Every (student, pool) whose order some arm asks for."""
    arms = [(name, arm) for name, arm in experiment.arms.items() if arm.policy]
    pairs = [(student, arm.pool) for name, arm in arms for student in experiment.arm_students(name)]
    return list(dict.fromkeys(pairs))


def finished_order(student, pool):
    """The order's file; Snakemake asks again once the checkpoint has written it."""
    return checkpoints.order.get(dataset=experiment.dataset.name, student=student, pool=pool).output.order


def orders(student, pool):
    """The orders by policy."""
    return files.read_json(finished_order(student, pool))["orders"]


# Report


def rows(arms):
    """One for each arm, student, chain and seed: what it is, and the stages it went through."""
    return [
        {
            "arm": name,
            "student": student,
            "recipe": arm.recipe,
            "chain": str(chain),
            "seed": seed,
            "stages": [
                {"chain": str(prefix), "folder": stage_folder(student, arm.recipe, prefix, seed)}
                for prefix in chain.prefixes
            ],
        }
        for name, arm in arms.items()
        for student in experiment.arm_students(name)
        for chain in experiment.arm_chains(name, orders(student, arm.pool) if arm.policy else None)
        for seed in experiment.arm_seeds(name)
    ]


def stage_results(file, arms=experiment.arms):
    """That file of every stage of the arms' rows."""
    return sorted({f"{stage['folder']}/{file}" for row in rows(arms) for stage in row["stages"]})


def written_arms():
    """The arms whose chains need no order, and so need not wait for one."""
    return {name: arm for name, arm in experiment.arms.items() if arm.chain}


def reported_detectors():
    """The students, then every teacher that an arm names."""
    pools = [experiment.pools[arm.pool] for arm in experiment.arms.values() if arm.pool]
    written = [chains.parse(arm.chain).teachers for arm in experiment.arms.values() if arm.chain]
    return list(dict.fromkeys([*experiment.students, *(t for names in pools + written for t in names)]))


def tables():
    return [f"{EXPERIMENT}/tables/main.{kind}" for kind in ("csv", "md", "tex")]


def plots():
    names = ["ap_over_epochs", "direct_vs_progressive"]
    names += [f"adaptation_cost_{student}_{pool}" for student, pool in ordered_pools()]
    return [f"{EXPERIMENT}/plots/{name}.{kind}" for name in names for kind in ("svg", "png")]
