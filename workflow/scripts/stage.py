"""Train a student through one stage."""

import argparse
import json
import sys
from pathlib import Path

from mtpd import state, training

TO_BE_CONTINUED = 75  # EX_TEMPFAIL: start again, and the stage goes on

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--spec", type=json.loads, required=True, help="fields of mtpd.training.Stage, as JSON")
parser.add_argument("--teachers", nargs="*", default=[], help="the teachers' checkpoints")
parser.add_argument("--parent", nargs="?", help="the student of the stage before")
parser.add_argument("--workers", type=int, default=0, help="data loaders of each process")
parser.add_argument("--out", type=Path, required=True, help="folder of the results")
parser.add_argument("--work", type=Path, required=True, help="folder of what a later run resumes from")
parser.add_argument("--label", default="", help="begins the lines of progress")
parser.add_argument("--progress", default="/dev/stderr", help="where the lines of progress go")
args = parser.parse_args()

stage = training.Stage(
    **args.spec,
    teacher_weights=tuple(args.teachers),
    parent=args.parent,
    workers=args.workers,
)
try:
    training.train(stage, args.out, args.work, args.progress, args.label)
except state.ToBeContinued as reason:
    print(f"to be continued: {reason}; the state is saved", file=sys.stderr)
    sys.exit(TO_BE_CONTINUED)
