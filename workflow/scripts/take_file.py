"""Copy a checkpoint, if its hash is right."""

import argparse
import shutil

from mtpd import files

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--file", required=True)
parser.add_argument("--sha256", nargs="?", const="", default="", help="in hex, or its first digits")
parser.add_argument("--out", required=True)
args = parser.parse_args()

files.require_hash(args.file, args.sha256)
shutil.copyfile(args.file, args.out)
