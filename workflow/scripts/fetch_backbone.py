"""Take a file of pretrained weights that mmdet configs name from an installed package, or fetch it.

The same call resumes.
"""

import argparse
import sys
from pathlib import Path

from mtpd import fetch
from mtpd.detectors import lite_weights
from mtpd.detectors.pretrained import file_of
from mtpd.experiment.folders import DOWNLOADS

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--name", required=True, help="an address, or a name like torchvision://resnet50")
parser.add_argument("--out", type=Path, required=True)
args = parser.parse_args()

try:
    if installed := lite_weights.package_file(args.name):
        lite_weights.convert(args.name, installed, args.out)
        print(f"{args.name}: taken from {installed}")
    else:
        fetch.fetch(file_of(args.name), args.out, Path(DOWNLOADS))
except fetch.FetchError as error:
    sys.exit(str(error))
