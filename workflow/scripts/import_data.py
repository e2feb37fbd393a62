"""Import a data set: read a folder, write one clean COCO file for each split, say what was changed."""

import argparse
import sys
from pathlib import Path

from mtpd import files
from mtpd.datasets.changes import ImportStopped
from mtpd.datasets.importing import REPORT, import_dataset
from mtpd.experiment import identity, layout
from mtpd.monitoring.progress import teller

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--spec", type=Path, required=True, help="see mtpd.experiment.data_specs.data_import")
parser.add_argument("--folder", type=Path, help="gets the results; if not given, they are only kept in work/")
parser.add_argument("--progress", default="/dev/stderr", help="where the lines of progress go")
args = parser.parse_args()

spec = files.read_json(args.spec)
kept = Path(layout.imported(spec))
try:
    if not (kept / REPORT).exists():
        say, made_with = teller("import", args.progress), {identity.KEY: identity.made_with(spec)}
        import_dataset(spec, kept, say, Path(spec["source"]), **made_with)
except ImportStopped as error:
    sys.exit("\n".join(error.stops))
for path in kept.glob("*.json") if args.folder else ():
    files.write_bytes(args.folder / path.name, path.read_bytes())
