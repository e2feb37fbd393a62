"""Take a split of an import that is kept, with the images of it that were converted."""

import argparse
from pathlib import Path

from mtpd import files
from mtpd.images import CONVERTED

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--kept", type=Path, required=True, help="annotation file of the import")
parser.add_argument("--out", type=Path, required=True)
args = parser.parse_args()

for image in files.read_json(args.kept)["images"]:
    # Their names are hashes of their bytes, so that one that is there is the same.
    if (name := image.get(CONVERTED)) and not (args.out.parent / name).exists():
        files.write_bytes(args.out.parent / name, (args.kept.parent / name).read_bytes())
files.write_bytes(args.out, args.kept.read_bytes())
