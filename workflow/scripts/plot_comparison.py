"""Plot the differences in AP between arms and their controls."""

import argparse
from pathlib import Path

from mtpd import files
from mtpd.report import comparison, plots, study_plots, tables

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=Path, required=True)
parser.add_argument("--arms", nargs="+", required=True)
parser.add_argument("--controls", nargs="+", required=True, help="the control of each of --arms")
parser.add_argument("--title", required=True)
parser.add_argument("--out", nargs="+", required=True)
args = parser.parse_args()

rows = [row for row in files.read_json(args.rows) if row["arm"] in {*args.arms, *args.controls}]
pairs = list(zip(args.arms, args.controls, strict=True))
compared = comparison.compare(tables.seed_rows(rows), pairs)
plots.write(args.out, comparison.by_seed(compared), study_plots.differences, compared, args.title)
