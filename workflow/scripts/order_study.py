"""Rank the trained orders of a pool by AP, beside what the adaptation costs predict."""

import argparse
from pathlib import Path

import pandas as pd

from mtpd import files
from mtpd.adaptation import levels
from mtpd.report import order_study, plots, study_plots, tables

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=Path, required=True)
parser.add_argument("--arms", nargs="+", required=True, help="those that train many orders of the pool")
parser.add_argument("--costs", required=True)
parser.add_argument("--order", type=Path, required=True)
parser.add_argument("--csv", type=Path, required=True)
parser.add_argument("--md", type=Path, required=True)
parser.add_argument("--tex", type=Path, required=True)
parser.add_argument("--correlation", type=Path, required=True)
parser.add_argument("--plots", type=Path, nargs="+", required=True)
args = parser.parse_args()

order = files.read_json(args.order)
student, by_policy = order["student"], order["orders"]
rows = [row for row in files.read_json(args.rows) if row["student"] == student and row["arm"] in args.arms]
seeds = tables.seed_rows(rows).query("kind == 'bbox'")
ranked = order_study.rank_orders(seeds, student, levels.over_levels(pd.read_csv(args.costs)), by_policy)
correlations = order_study.correlations(ranked)

tables.write(args.csv, ranked)
tables.write(args.correlation, correlations)
for path in (args.md, args.tex):
    tables.write(path, ranked, correlations, order_study.policy_ranks(ranked, by_policy))
plots.write(args.plots, ranked, study_plots.orders, ranked, correlations, student)
