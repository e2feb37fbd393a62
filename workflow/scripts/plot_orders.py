"""Plot the AP of every trained order of a pool against what the adaptation costs predict."""

import argparse

import pandas as pd

from mtpd.report import plots, study_plots

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--orders", required=True)
parser.add_argument("--correlation", required=True)
parser.add_argument("--title", required=True)
parser.add_argument("--out", nargs="+", required=True)
args = parser.parse_args()

ranked = pd.read_csv(args.orders).fillna({"policies": ""})
correlations = pd.read_csv(args.correlation)
plots.write(args.out, ranked, study_plots.orders, ranked, correlations, args.title)
