"""Plot AP over the epochs of every arm, and the arms beside each other."""

import argparse
from pathlib import Path

from mtpd import files
from mtpd.experiment import scores
from mtpd.report import plots, tables

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=Path, required=True)
parser.add_argument("--detectors", nargs="+", required=True)
parser.add_argument("--detector-metrics", nargs="+", required=True, help="in the order of --detectors")
parser.add_argument("--title", required=True)
parser.add_argument("--epochs", nargs="+", required=True, help="where AP over epochs goes")
parser.add_argument("--arms", nargs="+", required=True, help="where the comparison of arms goes")
args = parser.parse_args()

rows = files.read_json(args.rows)
seeds = tables.seed_rows(rows).query("kind == 'bbox'")
histories = tables.histories(rows)
ap = {
    name: scores.read(path)["bbox"]["AP"]
    for name, path in zip(args.detectors, args.detector_metrics, strict=True)
}
run = ["arm", "student", "chain", "seed"]
validated = histories.dropna(subset="AP")[[*run, "stage", "epoch", "AP"]]
plots.write(args.epochs, validated, plots.ap_over_epochs, histories, ap, args.title)
plots.write(args.arms, seeds[[*run, "AP"]], plots.arms, seeds, args.title)
