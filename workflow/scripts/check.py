"""Look for everything that would make a job of the experiment fail, before any job runs."""

import argparse
import sys
from pathlib import Path

from mtpd import checks, files

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--spec", type=Path, required=True, help="JSON file; see mtpd.checks.problems")
parser.add_argument("--passed", type=Path, required=True, help="written if nothing is wrong")
parser.add_argument("--wrong", type=Path, required=True, help="otherwise this, with what is wrong")
args = parser.parse_args()

found = checks.problems(files.read_json(args.spec))
files.write_text(args.wrong if found else args.passed, "\n".join(found))
sys.exit(bool(found))
