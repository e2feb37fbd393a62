"""Write the report page of an experiment."""

import argparse
from pathlib import Path

from mtpd import files
from mtpd.report import page

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument(
    "--spec", type=Path, required=True, help="JSON file; see mtpd.experiment.outputs.report_page"
)
parser.add_argument("--results", type=Path, required=True, help="folder of the experiment")
parser.add_argument("--annotations", type=Path, required=True, help="of the validation split")
parser.add_argument("--images", type=Path, required=True)
parser.add_argument("--imported", nargs="*", type=Path, help="import.json and the pictures of imported data")
parser.add_argument("--commands", nargs="+", required=True)
parser.add_argument("--out", type=Path, required=True)
args = parser.parse_args()

settings = files.read_json(args.spec)
content = page.build(settings, args.results, args.annotations, args.images, args.commands, args.imported)
files.write_text(args.out, content)
