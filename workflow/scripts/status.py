"""Say where an experiment is: which stages are done, run, have failed or wait. It may run meanwhile."""

import argparse
import sys
from pathlib import Path

from mtpd.experiment.errors import ConfigError
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import read_file
from mtpd.plan import status, status_text

PROJECT = Path(__file__).resolve().parents[2]

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("config", type=Path, help="the experiment file; its results are in the working folder")
args = parser.parse_args()
try:
    experiment = read_file(args.config, PROJECT)
except (ConfigError, OSError) as error:
    sys.exit(str(error))
print(
    status_text.text(*status.now(experiment, Layout(experiment.experiment, experiment.dataset.name))), end=""
)
