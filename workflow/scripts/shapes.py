"""Draw one split of the generated data set."""

import argparse
from pathlib import Path

from mtpd.datasets import shapes

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--split", required=True)
parser.add_argument("--images", type=int, required=True)
parser.add_argument("--size", type=int, required=True)
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--folder", type=Path, required=True)
parser.add_argument("--annotations", type=Path, required=True)
args = parser.parse_args()

args.folder.mkdir(parents=True, exist_ok=True)
shapes.write(shapes.generate(args.folder, args.split, args.images, args.size, args.seed), args.annotations)
