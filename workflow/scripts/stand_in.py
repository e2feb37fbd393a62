"""Draw one split of generated images with the classes of a data set on disk, for a rehearsal."""

import argparse
from pathlib import Path

from mtpd.data import coco
from mtpd.datasets import shapes

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--split", required=True)
parser.add_argument("--images", type=int, required=True)
parser.add_argument("--size", type=int, required=True)
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--classes-of", required=True, help="COCO annotation file; if missing, COCO's classes")
parser.add_argument("--folder", type=Path, required=True)
parser.add_argument("--annotations", type=Path, required=True)
args = parser.parse_args()

args.folder.mkdir(parents=True, exist_ok=True)
classes = coco.classes_to_draw(args.classes_of)
drawn = shapes.generate(args.folder, args.split, args.images, args.size, args.seed, classes)
shapes.write(drawn, args.annotations)
