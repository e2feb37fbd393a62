"""Fetch a checkpoint; it appears under its name only if its hash is right. The same call resumes."""

import argparse
import sys
from pathlib import Path

from mtpd import fetch
from mtpd.experiment.folders import DOWNLOADS

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--url", required=True)
parser.add_argument("--sha256", required=True, help="in hex, or its first digits")
parser.add_argument("--out", type=Path, required=True)
args = parser.parse_args()

wanted = fetch.Wanted(f"detectors.{args.out.parent.name}", args.url, args.sha256)
try:
    fetch.fetch(wanted, args.out, Path(DOWNLOADS))
except fetch.FetchError as error:
    sys.exit(str(error))
