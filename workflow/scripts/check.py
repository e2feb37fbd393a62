"""Look for everything that would make a job of the experiment fail, before any job runs."""

import argparse
import os
import sys
from pathlib import Path

from mtpd import files
from mtpd.checks.problems import problems
from mtpd.checks.subjects import Passed
from mtpd.job.progress import teller

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--spec", type=Path, required=True, help="JSON file; see mtpd.checks.subjects.keys")
parser.add_argument("--passed", type=Path, required=True, help="folder that remembers what has passed")
parser.add_argument("--wrong", type=Path, required=True, help="written if something is wrong")
args = parser.parse_args()

spec = files.read_json(args.spec)
terminal = f"/proc/{os.getppid()}/fd/2"  # Snakemake's: it captures what this program itself says
found = problems(spec, Passed(spec, args.passed), teller("checks", terminal))
if found:
    files.write_text(args.wrong, "\n".join(found))
sys.exit(bool(found))
