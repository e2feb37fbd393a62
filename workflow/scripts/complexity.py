"""Parameters, multiply-adds and milliseconds per image of the experiment's detectors, side by side."""

import argparse
from pathlib import Path

import torch

from mtpd import files
from mtpd.detectors import complexity
from mtpd.detectors.operators import require_gpus
from mtpd.experiment import identity

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument(
    "--spec", type=Path, required=True, help="JSON file; see mtpd.experiment.specs.complexity"
)
parser.add_argument("--out", type=Path, required=True)
parser.add_argument("--made-with", type=Path, required=True, help="JSON file that says what made the table")
parser.add_argument("--gpus", type=int, default=0, help="on which it computes")
args = parser.parse_args()
require_gpus(args.gpus)

torch.set_num_threads(1)  # Snakemake sets the thread count from the rule's threads; measure on one thread
spec = files.read_json(args.spec)
found = complexity.complexities(spec["dataset"], spec["detectors"], spec.get("quick", False))
files.write_text(args.out, found.to_csv())
files.write_json(args.made_with, {identity.KEY: identity.made_with(spec)})
