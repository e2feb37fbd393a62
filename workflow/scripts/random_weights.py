"""Write a checkpoint with random weights, for a rehearsal."""

import argparse
from pathlib import Path

from mtpd import files
from mtpd.data import coco
from mtpd.detectors import random_weights

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--spec", type=Path, required=True, help="JSON file; see mtpd.experiment.specs.detector")
parser.add_argument("--annotations", required=True, help="of the training split: the classes")
parser.add_argument("--out", type=Path, required=True)
args = parser.parse_args()

random_weights.save(args.out, files.read_json(args.spec), coco.classes_of(args.annotations))
