"""Look for everything that would make a job of the experiment fail, before any job runs."""

import argparse
import json
import sys
from pathlib import Path

from mtpd import checks, files

WRONG = 3

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--spec", type=Path, required=True, help="JSON file; see mtpd.checks.problems")
parser.add_argument(
    "--passed",
    type=Path,
    required=True,
    help="written if nothing is wrong; otherwise what is wrong goes to stdout",
)
args = parser.parse_args()

found = checks.problems(json.loads(args.spec.read_text()))
print("\n".join(found))
if found:
    sys.exit(WRONG)
files.write_text(args.passed, "")
