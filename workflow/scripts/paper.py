"""Put the paper's results and ours side by side."""

import argparse
from itertools import chain
from pathlib import Path

from mtpd import files
from mtpd.report import paper, paper_plots, plots, tables

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--published", type=Path, required=True, help="the paper's results (CSV)")
parser.add_argument("--rows", type=Path, nargs="*", default=[], help="rows.json of experiments")
parser.add_argument("--ids", nargs="+", help="results to list; by default, all")
parser.add_argument("--csv", type=Path, required=True)
parser.add_argument("--md", type=Path, required=True)
parser.add_argument("--tex", type=Path)
parser.add_argument("--plots", type=Path, nargs="+", default=[])
parser.add_argument("--title", help="of the plots")
args = parser.parse_args()

published = paper.read_published(args.published)
if args.ids:
    published = published[published["id"].isin(args.ids)]
seeds = paper.finished(list(chain.from_iterable(map(files.read_json, args.rows))))
table = paper.table(published, seeds)

for path in filter(None, (args.csv, args.md, args.tex)):
    tables.write(path, table)
plots.write(args.plots, table, paper_plots.results, table, args.title)
for experiment, ids in paper.missing(published, table).items():
    print(f"not run at full scale: config/paper/{experiment}.yaml: {', '.join(ids)}")
