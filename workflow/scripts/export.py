"""Export a student: an ONNX model, its card, its numbers, and a program that runs it without torch."""

import argparse
import sys
from pathlib import Path

from mtpd import files
from mtpd.detectors import checkpoints
from mtpd.detectors.checkpoints import CheckpointError
from mtpd.experiment import identity, scores
from mtpd.experiment.scores import NoResultError
from mtpd.export import predict
from mtpd.export.export import export
from mtpd.export.support import ExportError
from mtpd.report import cards, provenance, stamps
from mtpd.report.provenance import MixedResultsError

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument(
    "--spec", type=Path, required=True, help="JSON file; see mtpd.experiment.card_specs.export"
)
parser.add_argument("--student", type=Path, required=True, help="student.pth")
parser.add_argument("--metrics", type=Path, required=True, help="its metrics.json")
parser.add_argument("--model", type=Path, required=True, help="student.onnx to write")
parser.add_argument("--card", type=Path, required=True, help="Markdown file to write")
parser.add_argument("--numbers", type=Path, required=True, help="export.json to write")
parser.add_argument("--program", type=Path, required=True, help="predict.py to write")
args = parser.parse_args()

spec = files.read_json(args.spec)
try:
    provenance.require_made_with({str(args.metrics): spec[identity.KEY]})
    provenance.require_trained_with(args.student, checkpoints.provenance(args.student), spec["trained_with"])
    metrics = scores.read(args.metrics)
    model, numbers = export(spec["dataset"], spec["detector"], args.student, metrics)
except (CheckpointError, ExportError, FileNotFoundError, NoResultError, MixedResultsError) as error:
    sys.exit(str(error))
card = cards.of_student(spec, numbers, metrics, args.student)
files.write_bytes(args.model, model)
files.write_json(args.numbers, numbers)
files.write_text(args.card, stamps.stamped(args.card, card))
files.write_text(args.program, Path(predict.__file__).read_text(encoding="utf-8"))
