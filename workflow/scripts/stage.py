"""Train a student through one stage; an interrupted stage resumes when this is called again."""

import argparse
import sys
from functools import partial
from pathlib import Path

from mtpd import files, machine
from mtpd.experiment import folders, identity
from mtpd.job import failures
from mtpd.job.errors import StoppedEarly

STOPPED_EARLY = 75  # EX_TEMPFAIL: call again, and the stage resumes

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--spec", type=Path, required=True, help="JSON file; see mtpd.experiment.specs.stage")
parser.add_argument("--teachers", nargs="*", default=[], help="the teachers' checkpoints")
parser.add_argument("--inherit", nargs="?", help="the checkpoint whose neck and heads the student takes")
parser.add_argument("--initial", nargs="?", help="the checkpoint that the student starts from where it fits")
parser.add_argument("--parent", nargs="?", help="the checkpoint that the stage starts from, if there is one")
parser.add_argument(
    "--student", type=Path, required=True, help="the checkpoint to write; metrics go beside it"
)
parser.add_argument("--workers", type=int, default=0, help="data loaders of each process")
parser.add_argument("--progress", default="/dev/stderr", help="where the lines of progress go")
parser.add_argument("--trackers", nargs="*", default=[], help="tensorboard, wandb, mlflow")
parser.add_argument("--gpus", type=int, default=0, help="on which it computes")
args = parser.parse_args()

folder = args.student.parent
work, spec = Path(folders.work(str(folder))), files.read_json(args.spec)
with failures.final_written(work):  # importing torch and mmcv shows a broken driver or installation
    from mtpd.detectors.operators import require_gpus
    from mtpd.training.settings import Stage
    from mtpd.training.stage import train

    require_gpus(args.gpus)
    detectors = (spec["student"], *spec["teachers"])
    needed = machine.bytes_of_batches(args.workers, spec["recipe"], spec["dataset"], detectors)
    machine.require_shared_memory(needed, partial(print, "warning:", file=sys.stderr))
machine.allow_open_files()
files.write_json(work / folders.LAST_SPEC, spec)
stage = Stage(
    **spec,
    made_with=identity.made_with(spec),
    teacher_weights=tuple(args.teachers),
    inherited_weights=args.inherit,
    initial_weights=args.initial,
    parent=args.parent,
    workers=args.workers,
    trackers=tuple(args.trackers),
)
try:
    train(stage, folder, work, args.progress, "/".join(folder.parts[-4:]))
except StoppedEarly as reason:
    print(f"stopped early: {reason}; the state is saved", file=sys.stderr)
    sys.exit(STOPPED_EARLY)
