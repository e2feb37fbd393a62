"""Arms against their controls: differences in AP, paired by seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from mtpd.experiment import chains
from mtpd.report import statistics
from mtpd.report.tables import ON_TEST


@dataclass(frozen=True)
class Runs:
    """The AP of one chain of an arm by seed (AP points), for one student and one kind of AP (bbox, segm)."""

    student: str
    kind: str
    arm: str
    recipe: str
    chain: str
    ap: dict[int, float]


@dataclass(frozen=True)
class Comparison:
    """The runs of an arm and those of its control, with the same student, kind of AP and seeds."""

    own: Runs
    control: Runs

    @property
    def names(self) -> dict[str, str]:
        """What a table calls it, by column."""
        return {
            "student": self.own.student,
            "kind": self.own.kind,
            "arm": self.own.arm,
            "chain": self.own.chain,
            "control": self.control.arm,
            "control chain": self.control.chain,
        }

    @property
    def differences(self) -> list[float]:
        """AP of the arm minus AP of the control, seed by seed."""
        return [ap - self.control.ap[seed] for seed, ap in self.own.ap.items()]

    @property
    def difference(self) -> statistics.Estimate:
        """The mean of ``differences`` with its interval."""
        return statistics.paired_difference(self.own.ap, self.control.ap)

    @property
    def verdict(self) -> str:
        """What the difference shows, in words; between arms of different lengths, with their epochs."""
        own, control = self.own, self.control
        if (own.recipe, own.chain) == (control.recipe, control.chain):
            return "the same runs"
        epochs, control_epochs = (chains.parse(runs.chain).epochs for runs in (own, control))
        lengths = f" ({epochs} against {control_epochs} epochs)" * (epochs != control_epochs)
        return statistics.verdict(self.difference) + lengths


def compare(seeds: pd.DataFrame, pairs: list[tuple[str, str]]) -> list[Comparison]:
    """Every chain of an arm against its control's, for each student and kind that both have.

    Args:
        seeds: of ``tables.seed_rows``.
        pairs: each (arm, control); a control has one chain for each student.
    """
    runs = _runs(seeds)
    return [
        _on_shared_seeds(own, control)
        for pair in pairs
        for own in runs
        for control in runs
        if (own.arm, control.arm) == pair
        and (own.student, own.kind) == (control.student, control.kind)
        and own.ap.keys() & control.ap.keys()
    ]


def _runs(seeds: pd.DataFrame) -> list[Runs]:
    columns = ["student", "kind", "arm", "recipe", "chain"]
    return [
        Runs(**dict(zip(columns, values, strict=True)), ap=group.set_index("seed")["AP"].dropna().to_dict())
        for values, group in seeds.groupby(columns, sort=False)
    ]


def _on_shared_seeds(own: Runs, control: Runs) -> Comparison:
    seeds = sorted(own.ap.keys() & control.ap.keys())
    own, control = (replace(runs, ap={seed: runs.ap[seed] for seed in seeds}) for runs in (own, control))
    return Comparison(own, control)


def by_seed(comparisons: list[Comparison]) -> pd.DataFrame:
    """A row for each comparison and seed."""
    return pd.DataFrame(
        c.names
        | {
            "seed": seed,
            "AP": ap,
            "control AP": c.control.ap[seed],
            "difference": ap - c.control.ap[seed],
        }
        for c in comparisons
        for seed, ap in c.own.ap.items()
    )


def table(comparisons: list[Comparison], on_test: list[Comparison] | None = None) -> pd.DataFrame:
    """A row for each comparison; the column kind only where there are masks.

    Args:
        comparisons: of ``compare``.
        on_test: the same comparisons on the test split, whose numbers then stand beside the others.
    """
    named = [c.names | {"seeds": c.difference.count} for c in comparisons]
    parts = [pd.DataFrame(named), _numbers(comparisons)]
    if on_test:
        parts.append(_numbers(on_test).add_prefix(ON_TEST))
    compared = pd.concat(parts, axis=1)
    return compared if (compared["kind"] == "segm").any() else compared.drop(columns="kind")


def _numbers(comparisons: list[Comparison]) -> pd.DataFrame:
    lines = [
        {
            "AP": statistics.mean_interval([*c.own.ap.values()]).mean,
            "control AP": statistics.mean_interval([*c.control.ap.values()]).mean,
            "difference": c.difference.mean,
            "95% low": c.difference.low,
            "95% high": c.difference.high,
            "verdict": c.verdict,
        }
        for c in comparisons
    ]
    return pd.DataFrame(lines).astype({"95% low": float, "95% high": float})
