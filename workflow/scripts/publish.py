"""Write small copies of detectors to ship: half-precision weights, and a card with data, training and AP."""

import argparse
from pathlib import Path

from mtpd import files
from mtpd.detectors import checkpoints
from mtpd.experiment import identity, scores
from mtpd.report import cards, provenance, stamps

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument(
    "--spec", type=Path, required=True, help="JSON file; see mtpd.experiment.card_specs.publish"
)
parser.add_argument("--weights", nargs="+", required=True, help="checkpoints, in the order of the detectors")
parser.add_argument("--metrics", nargs="+", required=True, help="metrics.json, in the order of the detectors")
parser.add_argument("--out", type=Path, nargs="+", required=True, help="checkpoints to write, in that order")
parser.add_argument("--card", type=Path, required=True, help="Markdown file to write")
args = parser.parse_args()

spec = files.read_json(args.spec)
for source, target in zip(args.weights, args.out, strict=True):
    checkpoints.save_half_precision(source, target)
expected = [found[identity.KEY] for found in spec["detectors"].values()]
provenance.require_made_with(dict(zip(args.metrics, expected, strict=True)))
published = zip(spec["detectors"], args.out, map(scores.read, args.metrics), strict=True)
card = cards.of_detectors(spec, {name: (path, found) for name, path, found in published})
files.write_text(args.card, stamps.stamped(args.card, card))
