"""What an arm trains: for whom, with which seeds, through which chains; and the rows of the table."""

from __future__ import annotations

from collections.abc import Callable

from mtpd.experiment import chains
from mtpd.experiment.folders import Layout
from mtpd.experiment.schema import SEVERAL_CHAINS, Arm, Experiment

Orders = dict[str, list[list[str]]]  # by policy


def students(experiment: Experiment, arm: str) -> tuple[str, ...]:
    return experiment.arms[arm].students or experiment.students


def seeds(experiment: Experiment, arm: str) -> tuple[int, ...]:
    return experiment.arms[arm].seeds or experiment.seeds


def teachers(experiment: Experiment, arm: Arm) -> tuple[str, ...]:
    """Every teacher that an arm may use."""
    return chains.parse(arm.chain).teachers if arm.chain else experiment.pools[arm.pool]


def chains_of(arm: Arm, orders: Orders | None) -> list[chains.Chain]:
    """The chains of an arm; a written one needs no ``orders`` (those of its pool)."""
    if arm.chain:
        return [chains.parse(arm.chain)]
    return [chains.split_evenly(order, arm.epochs) for order in orders[arm.policy]]


def longest_chain(experiment: Experiment, arm: str, student: str) -> int:
    """How many stages the longest chain of an arm can have, whatever order its policy gives."""
    spec = experiment.arms[arm]
    if spec.chain:
        return len(chains.parse(spec.chain).stages)
    count = len(set(experiment.pools[spec.pool]) - {student})
    if spec.policy in ("by-ap", "all"):
        return count
    most = {"strongest": 1, "pairs": 2}.get(spec.policy, experiment.order.max_teachers)
    return min(count, most)


def ordered_pools(experiment: Experiment) -> list[tuple[str, str]]:
    """Every (student, pool) whose order some arm asks for."""
    return _pools(experiment, [name for name, arm in experiment.arms.items() if arm.policy])


def studied_pools(experiment: Experiment) -> list[tuple[str, str]]:
    """Every (student, pool) of which some arm trains many orders."""
    return _pools(experiment, [name for name, arm in experiment.arms.items() if arm.policy in SEVERAL_CHAINS])


def _pools(experiment: Experiment, arms: list[str]) -> list[tuple[str, str]]:
    pairs = [(s, experiment.arms[name].pool) for name in arms for s in students(experiment, name)]
    return list(dict.fromkeys(pairs))


def studied_arms(experiment: Experiment, student: str, pool: str) -> dict[str, Arm]:
    """The arms that train many orders of a pool with this student."""
    return {
        name: arm
        for name, arm in experiment.arms.items()
        if arm.policy in SEVERAL_CHAINS and arm.pool == pool and student in students(experiment, name)
    }


def comparisons(experiment: Experiment) -> list[tuple[str, str]]:
    """Every (arm, control) whose difference is reported."""
    return [(name, control) for name, arm in experiment.arms.items() for control in arm.against]


def compared_arms(experiment: Experiment) -> dict[str, Arm]:
    """The arms of ``comparisons``."""
    names = {name for pair in comparisons(experiment) for name in pair}
    return {name: arm for name, arm in experiment.arms.items() if name in names}


def reproducing_arms(experiment: Experiment) -> dict[str, Arm]:
    """The arms that reproduce a result of the paper."""
    return {name: arm for name, arm in experiment.arms.items() if arm.paper}


def reported_detectors(experiment: Experiment) -> list[str]:
    """The students, then every teacher that an arm names."""
    named = [name for arm in experiment.arms.values() for name in teachers(experiment, arm)]
    return list(dict.fromkeys([*experiment.students, *named]))


def rows(
    experiment: Experiment,
    layout: Layout,
    orders: Callable[[str, str], Orders],
    arms: dict[str, Arm] | None = None,
) -> list[dict]:
    """One for each arm, student, chain and seed: what it is, and the stages it goes through.

    Args:
        experiment: the experiment.
        layout: of its paths.
        orders: gives the orders of a (student, pool); asked only for arms that have a policy.
        arms: those to look at; all if not given.
    """
    return [
        {
            "arm": name,
            "student": student,
            "recipe": arm.recipe,
            "chain": str(chain),
            "seed": seed,
            "stages": [
                {"chain": str(prefix), "folder": layout.stage(student, arm.recipe, prefix, seed)}
                for prefix in chain.prefixes
            ],
            **({"paper": arm.paper} if arm.paper else {}),
        }
        for name, arm in (experiment.arms if arms is None else arms).items()
        for student in students(experiment, name)
        for chain in chains_of(arm, orders(student, arm.pool) if arm.policy else None)
        for seed in seeds(experiment, name)
    ]


def stage_files(rows: list[dict], file: str) -> list[str]:
    """The paths of a file of this name in every stage of the rows."""
    return sorted({f"{stage['folder']}/{file}" for row in rows for stage in row["stages"]})


def last_stage_file(row: dict, file: str) -> str:
    """The path of a file of this name in the last stage of a row."""
    return f"{row['stages'][-1]['folder']}/{file}"


def written_arms(experiment: Experiment) -> dict[str, Arm]:
    """The arms whose chains are written out, and so need not wait for an order."""
    return {name: arm for name, arm in experiment.arms.items() if arm.chain}
