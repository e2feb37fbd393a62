"""Import a data set: read a folder, write one clean COCO file for each split, say what was changed."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from mtpd import files
from mtpd.datasets import pictures
from mtpd.datasets.changes import ImportStopped
from mtpd.datasets.importing import REPORT, import_dataset
from mtpd.experiment import identity, layout
from mtpd.images import FOLDER
from mtpd.monitoring.progress import teller

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--spec", type=Path, required=True, help="see mtpd.experiment.data_specs.data_import")
parser.add_argument("--folder", type=Path, help="gets the results; if not given, they are only kept in work/")
args = parser.parse_args()

spec = files.read_json(args.spec)
kept = Path(layout.imported(spec))
# The checks keep what this says as the reason why nothing runs; its progress goes to their terminal.
progress = "/dev/stderr" if args.folder else f"/proc/{os.getppid()}/fd/2"
try:
    if not (kept / REPORT).exists():
        say, made_with = teller("import", progress), {identity.KEY: identity.made_with(spec)}
        import_dataset(spec, kept, say, Path(spec["source"]), **made_with)
except ImportStopped as error:
    sys.exit("\n".join(error.stops))
if args.folder:
    shutil.rmtree(args.folder / FOLDER, ignore_errors=True)
    if (kept / FOLDER).exists():
        shutil.copytree(kept / FOLDER, args.folder / FOLDER)
    for path in kept.glob("*.json"):
        files.write_bytes(args.folder / path.name, path.read_bytes())
    counts = {}
    for name in files.read_json(kept / REPORT)["splits"]:  # one at a time: they can be large
        content = files.read_json(kept / f"{name}.json")
        counts[name] = pictures.count(content)
        if name == "train":
            pictures.sheet(content, Path(spec["source"]), args.folder / "train_samples.jpg")
        del content
    pictures.plot(dict(sorted(counts.items())), args.folder / "counts.png")
