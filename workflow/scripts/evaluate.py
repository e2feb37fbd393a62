"""Score a detector's checkpoint on the validation split, or on the test split."""

import argparse
import sys
from pathlib import Path

from mtpd import files, machine
from mtpd.detectors.operators import require_gpus
from mtpd.evaluation.evaluate import evaluate
from mtpd.experiment import folders, identity

WEIGHTS = "weights_sha256"


def are_scored(weights, spec, metrics):
    """Whether that is done: what trained them may have run again only for their validation scores."""
    fits = metrics.exists() and not identity.misfit(metrics, lambda: spec)
    return fits and files.read_json(metrics).get(WEIGHTS) == weights


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument(
    "--spec", type=Path, required=True, help="JSON file; see evaluation in mtpd.experiment.specs"
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
about = {identity.KEY: identity.made_with(spec)}
if "split" in spec:
    about[WEIGHTS] = files.sha256(args.weights)
    if args.predictions.exists() and are_scored(about[WEIGHTS], spec, args.metrics):
        print(f"{args.metrics}: these weights are scored already")
        sys.exit()
work = Path(folders.work(str(args.metrics.parent)))  # the runner logs there
found = evaluate(
    spec["dataset"], spec["detector"], args.weights, work, args.workers, spec.get("split", "val")
)
files.write_json(args.predictions, found.predictions, indent=None)
metrics = found.summary(spec["dataset"]["name"])
files.write_json(args.metrics, {**metrics, **about})
