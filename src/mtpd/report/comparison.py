"""Arms against their controls: differences in AP, paired by seed."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from mtpd.experiment import chains
from mtpd.report import statistics
from mtpd.report.tables import ON_TEST


@dataclass(frozen=True)
class Comparison:
    """A chain of an arm and the chain of its control, for one student and one kind of AP (bbox, segm).

    ``ap`` and ``control_ap`` are AP points by seed, of the seeds that both have.
    """

    student: str
    kind: str
    arm: str
    recipe: str
    chain: str
    control: str
    control_recipe: str
    control_chain: str
    ap: dict[int, float]
    control_ap: dict[int, float]

    @property
    def differences(self) -> list[float]:
        """Arm minus control, of each seed."""
        return [self.ap[seed] - self.control_ap[seed] for seed in self.ap]

    @property
    def difference(self) -> statistics.Estimate:
        return statistics.paired_difference(self.ap, self.control_ap)

    @property
    def verdict(self) -> str:
        """What the difference shows, in words; between arms of different lengths, with their epochs."""
        if (self.recipe, self.chain) == (self.control_recipe, self.control_chain):
            return "the same runs"
        epochs, control_epochs = (chains.parse(chain).epochs for chain in (self.chain, self.control_chain))
        lengths = f" ({epochs} against {control_epochs} epochs)" * (epochs != control_epochs)
        return statistics.verdict(self.difference) + lengths


def compare(seeds: pd.DataFrame, pairs: list[tuple[str, str]]) -> list[Comparison]:
    """Every chain of an arm against its control's, for each student and kind that both have.

    Args:
        seeds: of ``tables.seed_rows``.
        pairs: each (arm, control); a control has one chain for each student.
    """
    groups = {
        (key[:2], key[2:]): group.dropna(subset="AP").set_index("seed")["AP"].to_dict()
        for key, group in seeds.groupby(["student", "kind", "arm", "recipe", "chain"], sort=False)
    }
    return [
        Comparison(*where, *own, *others, *_shared(ap, control_ap))
        for pair in pairs
        for (where, own), ap in groups.items()
        for (there, others), control_ap in groups.items()
        if (own[0], others[0]) == pair and where == there and ap.keys() & control_ap.keys()
    ]


def _shared(*by_seed: dict[int, float]) -> list[dict[int, float]]:
    """The same, of the seeds that all have."""
    seeds = sorted(set.intersection(*map(set, by_seed)))
    return [{seed: values[seed] for seed in seeds} for values in by_seed]


def by_seed(comparisons: list[Comparison]) -> pd.DataFrame:
    """A row for each comparison and seed."""
    return pd.DataFrame(
        {
            "student": c.student,
            "kind": c.kind,
            "arm": c.arm,
            "chain": c.chain,
            "control": c.control,
            "control chain": c.control_chain,
            "seed": seed,
            "AP": ap,
            "control AP": c.control_ap[seed],
            "difference": ap - c.control_ap[seed],
        }
        for c in comparisons
        for seed, ap in c.ap.items()
    )


def table(comparisons: list[Comparison], on_test: list[Comparison] | None = None) -> pd.DataFrame:
    """A row for each comparison; the column kind only where there are masks.

    Args:
        comparisons: of ``compare``.
        on_test: the same comparisons on the test split, whose numbers then stand beside the others.
    """
    named = [
        {
            "student": c.student,
            "kind": c.kind,
            "arm": c.arm,
            "chain": c.chain,
            "control": c.control,
            "control chain": c.control_chain,
            "seeds": c.difference.count,
        }
        for c in comparisons
    ]
    parts = [pd.DataFrame(named), _numbers(comparisons)]
    if on_test:
        parts.append(_numbers(on_test).add_prefix(ON_TEST))
    found = pd.concat(parts, axis=1)
    return found if (found["kind"] == "segm").any() else found.drop(columns="kind")


def _numbers(comparisons: list[Comparison]) -> pd.DataFrame:
    lines = [
        {
            "AP": statistics.mean_interval([*c.ap.values()]).mean,
            "control AP": statistics.mean_interval([*c.control_ap.values()]).mean,
            "difference": c.difference.mean,
            "95% low": c.difference.low,
            "95% high": c.difference.high,
            "verdict": c.verdict,
        }
        for c in comparisons
    ]
    return pd.DataFrame(lines).astype({"95% low": float, "95% high": float})
