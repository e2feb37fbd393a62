"""Parameters, multiply-adds and milliseconds per image of the experiment's detectors, side by side."""

import argparse
import json
from pathlib import Path

import torch

from mtpd import files, probe

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--dataset", type=json.loads, required=True)
parser.add_argument("--detectors", type=json.loads, required=True)
parser.add_argument("--out", type=Path, required=True)
args = parser.parse_args()

torch.set_num_threads(1)  # Snakemake tells MKL otherwise, by the rule's threads
files.write_text(args.out, probe.complexities(args.dataset, args.detectors).to_csv())
