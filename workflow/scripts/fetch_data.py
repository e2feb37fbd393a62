"""Fetch a zip file and take a folder of data out of it. The same call resumes."""

import argparse
import sys
from pathlib import Path

from mtpd import fetch
from mtpd.datasets.archives import fetch_folder
from mtpd.experiment.folders import DOWNLOADS

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--url", required=True)
parser.add_argument("--sha256", required=True, help="in hex, or its first digits")
parser.add_argument("--files", type=int, required=True, help="how many are in the folder")
parser.add_argument("--folder", type=Path, required=True)
args = parser.parse_args()

wanted = fetch.Wanted(f"dataset.download.{args.folder}", args.url, args.sha256)
try:
    fetch_folder(wanted, args.folder, args.files, Path(DOWNLOADS))
except fetch.FetchError as error:
    sys.exit(str(error))
