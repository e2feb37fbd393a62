"""Measure adaptation costs within a pool and order its teachers by every policy."""

import argparse
from pathlib import Path

from mtpd import files
from mtpd.adaptation import levels, probe
from mtpd.detectors.operators import require_gpus
from mtpd.experiment import identity, policies, scores
from mtpd.report import provenance

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--spec", type=Path, required=True, help="JSON file; see mtpd.experiment.specs.order")
parser.add_argument("--weights", nargs="+", required=True, help="checkpoints, in the order of the detectors")
parser.add_argument("--metrics", nargs="+", required=True, help="metrics.json, in the order of the detectors")
parser.add_argument("--costs", type=Path, required=True)
parser.add_argument("--order", type=Path, required=True)
parser.add_argument("--gpus", type=int, default=0, help="on which it computes")
args = parser.parse_args()
require_gpus(args.gpus)

spec = files.read_json(args.spec)
settings = spec["order"]
metrics = dict(zip(spec["detectors"], map(scores.read, args.metrics), strict=True))
provenance.require_same_data(metrics)
ap = {name: found["bbox"]["AP"] for name, found in metrics.items()}
costs = probe.adaptation_costs(spec["dataset"], spec["detectors"], args.weights, settings)
files.write_text(args.costs, costs.to_csv(index=False))

means = levels.over_levels(costs)
by_policy, why = policies.orders_by_policy(spec["student"], ap, means, settings["max_teachers"])
found = {"student": spec["student"], "ap": ap, "orders": by_policy, "why": why}
found[identity.KEY] = identity.made_with(spec)
files.write_json(args.order, found)
print("\n".join(f"{policy}: {reason}" for policy, reasons in why.items() for reason in reasons))
