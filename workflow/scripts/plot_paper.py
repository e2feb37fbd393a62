"""Plot the paper's results beside ours."""

import argparse
from pathlib import Path

import pandas as pd

from mtpd.report import paper_plots, plots

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--table", type=Path, required=True, help="paper.csv, of paper.py")
parser.add_argument("--title", required=True)
parser.add_argument("--out", nargs="+", required=True)
args = parser.parse_args()

found = pd.read_csv(args.table)
plots.write(args.out, found, paper_plots.results, found, args.title)
