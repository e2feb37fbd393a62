"""Import a data set: read a folder, write one clean COCO file for each split, say what was changed."""

import argparse
import os
import sys
from pathlib import Path

from mtpd import files
from mtpd.datasets import pictures
from mtpd.datasets.changes import ImportStopped
from mtpd.datasets.importing import REPORT, images_of, import_dataset
from mtpd.experiment import data_specs, folders
from mtpd.job.progress import teller

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--spec", type=Path, required=True, help="see mtpd.experiment.data_specs.data_import")
parser.add_argument("--folder", type=Path, help="gets the results; if not given, they are only kept in work/")
args = parser.parse_args()

spec = files.read_json(args.spec)
kept = Path(folders.imported(spec))
# The checks keep what this says as the reason why nothing runs; its progress goes to their terminal.
progress = "/dev/stderr" if args.folder else f"/proc/{os.getppid()}/fd/2"
try:
    if not data_specs.kept(kept):
        import_dataset(spec, kept, teller("import", progress))
except ImportStopped as error:
    sys.exit("\n".join(error.stops))
if args.folder:
    files.write_bytes(args.folder / REPORT, (kept / REPORT).read_bytes())
    pictures.of_import(kept, images_of(spec, "train"), args.folder)
