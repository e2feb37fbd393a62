"""Score a detector's checkpoint on the validation split."""

import argparse
from pathlib import Path

from mtpd import files, machine
from mtpd.detectors.operators import require_gpus
from mtpd.evaluation.evaluate import evaluate
from mtpd.experiment import identity, layout

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument(
    "--spec", type=Path, required=True, help="JSON file; see mtpd.experiment.specs.evaluation"
)
parser.add_argument("--weights", required=True)
parser.add_argument("--metrics", type=Path, required=True)
parser.add_argument("--predictions", type=Path, required=True)
parser.add_argument("--workers", type=int, default=0, help="data loaders")
parser.add_argument("--gpus", type=int, default=0, help="on which it computes")
args = parser.parse_args()
require_gpus(args.gpus)
machine.allow_open_files()

spec = files.read_json(args.spec)
work = Path(layout.work(str(args.metrics.parent)))  # the runner logs there
found = evaluate(spec["dataset"], spec["detector"], args.weights, work, args.workers)
files.write_json(args.predictions, found.predictions, indent=None)
metrics = found.summary(spec["dataset"]["name"])
files.write_json(args.metrics, {**metrics, identity.KEY: identity.made_with(spec)})
