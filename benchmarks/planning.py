"""Dry runs of Snakemake, and how many stages sequences of teachers share."""

from __future__ import annotations

import re
import subprocess
import tempfile
from itertools import permutations
from pathlib import Path

import yaml

from benchmarks import pairing
from benchmarks.models import PROJECT

TEACHERS = ("a", "b", "c", "d")
TRIVIAL = """
rule all:
    input: [f"out/{{i}}" for i in range({count})]
rule one:
    output: "out/{{i}}"
    shell: "touch {{output}}"
"""


def measure(small: bool = False):
    count, rounds, letters = (2, 0, TEACHERS[:2]) if small else (2000, 2, TEACHERS)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "config").symlink_to(PROJECT / "config")
        (folder / "trivial").write_text(TRIVIAL.format(count=count), encoding="utf-8")
        (folder / "empty").write_text("rule all:\n    input: []\n", encoding="utf-8")
        stages = written(folder, "stages", {"alone": "none@1"}, range(count))
        yield pairing.Row(
            f"snakemake -n, {count} stages",
            f"a Snakefile of {count} trivial jobs",
            pairing.side_by_side(
                lambda: dry_run(folder, PROJECT / "Snakefile", stages),
                lambda: dry_run(folder, folder / "trivial"),
                rounds,
            ),
            "2",
        )
        yield pairing.Row(
            "snakemake -n, demo: CPU seconds more",
            "an empty Snakefile",
            pairing.in_rounds(lambda: seconds_more(folder), 0 if small else 3),
            "0.3",
            " s",
        )
        yield sharing(folder, letters)


def dry_run(folder, snakefile, config=None):
    return pairing.cpu_seconds_of(command(folder, snakefile, config), cwd=folder)


def command(folder, snakefile, config=None):
    start = ["snakemake", "-n", "--quiet", "-s", snakefile, "-d", folder, "--cores", "2"]
    return list(map(str, [*start, *(["--configfile", config] if config else [])]))


def seconds_more(folder):
    demo = dry_run(folder, PROJECT / "Snakefile", PROJECT / "config/config.yaml")
    return demo - dry_run(folder, folder / "empty")


def written(folder, name, chains, seeds, teachers=()):
    """An experiment file with these chains."""
    detector = {"config": "config/detectors/r18_w8.py", "train": {"recipe": "alone", "epochs": 1}}
    alone = {"optimizer": {"type": "AdamW", "lr": 1e-3}, "batch_size": 4, "schedule": {"kind": "one-cycle"}}
    content = {
        "experiment": name,
        "dataset": {"name": "few", "generate": {"train": 12, "val": 6, "size": 64}, "scale": [64, 64]},
        "detectors": {name: detector for name in ("student", *teachers)},
        "students": ["student"],
        "recipes": {"alone": alone, "pkd": {**alone, "loss": {"name": "pkd"}}},
        "arms": {
            arm: {"recipe": "alone" if chain.startswith("none") else "pkd", "chain": chain}
            for arm, chain in chains.items()
        },
        "seeds": list(seeds),
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / f"{name}.yaml"


def sharing(folder, teachers):
    """All sequences of the teachers; detectors are trained too, and not counted."""
    lengths = range(1, len(teachers) + 1)
    orders = [order for length in lengths for order in permutations(teachers, length)]
    chains = {"-".join(order): "+".join(f"{name}@1" for name in order) for order in orders}
    config = written(folder, "sequences", chains, [0], teachers)
    loud = [word for word in command(folder, PROJECT / "Snakefile", config) if word != "--quiet"]
    said = subprocess.run(loud, capture_output=True, encoding="utf-8", check=True).stdout
    jobs = int(re.search(r"train_stage +(\d+)", said)[1]) - len(teachers) - 1
    alone = sum(map(len, orders))
    what = f"stages for all {len(orders)} sequences of {len(teachers)} teachers: {jobs}"
    return pairing.Row(
        what, f"each sequence by itself: {alone}", [jobs / alone], f"{len(orders) / alone:.3g}"
    )
