"""Say where the predictions of a detector are right and wrong."""

import argparse
from pathlib import Path

from mtpd import files
from mtpd.evaluation.analysis import analyse

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--annotations", type=Path, required=True)
parser.add_argument("--predictions", type=Path, required=True)
parser.add_argument("--out", type=Path, required=True)
args = parser.parse_args()

found = analyse(args.annotations, files.read_json(args.predictions))
files.write_json(args.out, found, indent=None)
