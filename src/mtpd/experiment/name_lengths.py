"""Names that a file system cannot hold: a chain names a folder, and on a cluster a stage names another."""

from __future__ import annotations

from mtpd.experiment import rows
from mtpd.experiment.schema import Experiment

MOST_BYTES = 255  # of one name, in all common file systems


def too_long(experiment: Experiment, on_cluster: bool) -> list[str]:
    """The arms whose names are too long together, a line each.

    Args:
        experiment: the experiment.
        on_cluster: count what Snakemake's plugin for Slurm joins to the name of a folder: data set, student,
            recipe, chain and seed. Otherwise the chain alone is counted.
    """
    problems = []
    for arm, spec in experiment.arms.items():
        length = max(_longest_chain(experiment, arm, student) for student in rows.students(experiment, arm))
        if on_cluster:
            student = max(rows.students(experiment, arm), key=len)
            seed = str(max(rows.seeds(experiment, arm)))
            length += sum(1 + len(name) for name in (experiment.dataset.name, student, spec.recipe, seed))
        if length > MOST_BYTES:
            what = "data set, student, recipe, chain and seed" if on_cluster else "its chain"
            problems.append(
                f"arms.{arm}: a folder is named by {what}, with up to {length} characters; expected at most "
                f"{MOST_BYTES}: shorten the names of its teachers"
            )
    return problems


def _longest_chain(experiment: Experiment, arm: str, student: str) -> int:
    """How many characters a chain of an arm has at most, whatever order its policy gives."""
    spec = experiment.arms[arm]
    if spec.chain:
        return len(spec.chain)
    count = rows.longest_chain(experiment, arm, student)
    teachers = sorted(set(experiment.pools[spec.pool]) - {student}, key=len)[-count:]
    return sum(len(f"{teacher}@{spec.epochs}+") for teacher in teachers) - 1
