"""Every path of an experiment, relative to the folder that Snakemake works in.

The constants are folders as Snakemake's rules write them, with wildcards in braces; ``Layout`` fills them in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mtpd import files
from mtpd.experiment import identity

DATA = "results/{dataset}/data"
DETECTOR = "results/{dataset}/detectors/{detector}"
ORDER = "results/{dataset}/order/{student}/{pool}"
STAGE = "results/{dataset}/students/{student}/{recipe}/{chain}/seed{seed}"
EXPORT = f"{STAGE}/export"
EXPERIMENT = "results/{experiment}"
TABLES = f"{EXPERIMENT}/tables"
PLOTS = f"{EXPERIMENT}/plots"
PUBLISHED = f"{EXPERIMENT}/published"
CHECKS = "work/checks"
BACKBONE = "results/backbones/{backbone}"
DOWNLOADS = "work/downloads"
IMPORTS = "work/imports"  # of data sets, by what they were made with
LAST_SPEC = "spec.json"  # in a stage's folder of work: the settings of its last job
REHEARSAL = "rehearsal"  # begins the names of all that a rehearsal writes


def logs(folder: str) -> str:
    """Where the jobs that write into a folder of results log."""
    return str(Path("logs", *Path(folder).parts[1:]))


def work(folder: str) -> str:
    """Where a job that writes into a folder of results keeps what it resumes from."""
    return str(Path("work", *Path(folder).parts[1:]))


def imported(spec: dict) -> str:
    """Where the import of a data set is kept. Args: ``spec``, of ``data_specs.data_import``."""
    return f"{IMPORTS}/{identity.digest(spec)}"


def is_rehearsal(path: str | Path) -> bool:
    """Whether a rehearsal writes this file of results."""
    return Path(path).parts[:2] == ("results", REHEARSAL)


@dataclass(frozen=True)
class Layout:
    """The paths of one experiment."""

    experiment: str
    dataset: str

    def split(self, split: str) -> dict[str, str]:
        """Annotations and images of a split that the graph draws itself."""
        folder = DATA.format(dataset=self.dataset)
        return {"annotations": f"{folder}/{split}.json", "images": f"{folder}/{split}"}

    def detector(self, name: str, file: str) -> str:
        return f"{DETECTOR.format(dataset=self.dataset, detector=name)}/{file}"

    def order(self, student: str, pool: str, file: str) -> str:
        return f"{ORDER.format(dataset=self.dataset, student=student, pool=pool)}/{file}"

    def written_orders(self, student: str, pool: str, spec: dict) -> dict[str, list[list[str]]] | None:
        """The orders of a student and pool, by policy, if they were made with the settings of this spec."""
        path = Path(self.order(student, pool, "order.json"))
        found = files.read_json(path) if path.exists() else {}
        return found["orders"] if found.get(identity.KEY) == identity.made_with(spec) else None

    def stage(self, student: str, recipe: str, chain: object, seed: int | str) -> str:
        """The folder of a stage's results; the chain names its teachers up to this stage."""
        return STAGE.format(dataset=self.dataset, student=student, recipe=recipe, chain=chain, seed=seed)
