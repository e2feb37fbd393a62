"""Draw the matrix of adaptation costs with the chosen order in it."""

import argparse

import pandas as pd

from mtpd import files
from mtpd.adaptation import levels
from mtpd.experiment import scores
from mtpd.report import plots

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--costs", required=True)
parser.add_argument("--order", required=True)
parser.add_argument("--out", nargs="+", required=True)
args = parser.parse_args()

order = files.read_json(args.order)
scores.require({f"{args.order}, {name}": ap for name, ap in order["ap"].items()})
costs = levels.over_levels(pd.read_csv(args.costs))
chosen = order["orders"]["bgs"][0]
numbers = pd.DataFrame([(*pair, cost) for pair, cost in costs.items()], columns=["from", "to", "cost"])
plots.write(args.out, numbers, plots.adaptation_cost, costs, order["ap"], order["student"], chosen)
