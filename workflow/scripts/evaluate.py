"""Score a detector's checkpoint on the validation split."""

import argparse
import json
from pathlib import Path

from mtpd import files, training

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--dataset", type=json.loads, required=True)
parser.add_argument("--detector", type=json.loads, required=True)
parser.add_argument("--weights", required=True)
parser.add_argument("--metrics", type=Path, required=True)
parser.add_argument("--predictions", type=Path, required=True)
parser.add_argument("--work", type=Path, required=True, help="folder of the runner's logs")
args = parser.parse_args()

metrics, predictions = training.evaluate(args.dataset, args.detector, args.weights, args.work)
files.write_json(args.predictions, predictions)
files.write_json(args.metrics, metrics)
