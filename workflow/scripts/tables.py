"""Put the experiment's table together."""

import argparse
from pathlib import Path

import pandas as pd

from mtpd import files
from mtpd.experiment import scores
from mtpd.report import provenance, tables

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=Path, required=True)
parser.add_argument("--complexity", type=Path, required=True)
parser.add_argument("--detectors", nargs="+", required=True)
parser.add_argument("--detector-metrics", nargs="+", required=True, help="in the order of --detectors")
parser.add_argument("--detector-tests", nargs="*", default=[], help="the same on the test split")
parser.add_argument("--csv", type=Path, required=True)
parser.add_argument("--md", type=Path, required=True)
parser.add_argument("--tex", type=Path, required=True)
parser.add_argument("--seeds", type=Path, required=True, help="CSV file to write, by seed")
args = parser.parse_args()

rows = files.read_json(args.rows)
seeds = tables.seed_rows(rows)
detectors = dict(zip(args.detectors, map(scores.read, args.detector_metrics), strict=True))
provenance.require_same_data({**provenance.stage_metrics(rows), **detectors})
test = tables.tested_seed_rows(rows)
if test is not None:
    tests = dict(zip(args.detectors, map(scores.read, args.detector_tests), strict=True))
    provenance.require_same_data({**provenance.test_metrics(rows), **tests}, "test")
    test = test, tests
    seeds = tables.beside(seeds, test[0], ["arm", "student", "recipe", "chain", "seed", "kind"])
table = tables.main_table(seeds, detectors, pd.read_csv(args.complexity, index_col=0), test)

for path in (args.csv, args.md, args.tex):
    tables.write(path, table)
tables.write(args.seeds, seeds)
