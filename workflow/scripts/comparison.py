"""Compare arms with their controls: differences in AP, paired by seed, with 95% intervals."""

import argparse
from pathlib import Path

from mtpd import files
from mtpd.report import comparison, plots, study_plots, tables

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=Path, required=True)
parser.add_argument("--arms", nargs="+", required=True)
parser.add_argument("--controls", nargs="+", required=True, help="the control of each of --arms")
parser.add_argument("--csv", type=Path, required=True)
parser.add_argument("--md", type=Path, required=True)
parser.add_argument("--tex", type=Path, required=True)
parser.add_argument("--plots", type=Path, nargs="+", required=True, help="of the validation split")
parser.add_argument("--title", required=True, help="of the plots")
args = parser.parse_args()

rows = [row for row in files.read_json(args.rows) if row["arm"] in {*args.arms, *args.controls}]
pairs = list(zip(args.arms, args.controls, strict=True))
on_val, on_test = tables.seed_rows(rows), tables.tested_seed_rows(rows)
compared = comparison.compare(on_val, pairs)
tested = None if on_test is None else comparison.compare(on_test, pairs)
table = comparison.table(compared, tested)

for path in (args.csv, args.md, args.tex):
    tables.write(path, table)
plots.write(args.plots, comparison.by_seed(compared), study_plots.differences, compared, args.title)
