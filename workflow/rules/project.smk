"""Where the project is: its scripts, its library and its default experiment."""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

try:
    PROJECT = Path(workflow.current_basedir).parents[1]
except TypeError:
    raise WorkflowError(
        "mtpd cannot run from a remote address, because its library is part of the project: "
        "clone it, and give the path of its workflow/Snakefile in the clone"
    ) from None

LIBRARY = PROJECT / "src"
sys.path.insert(0, str(LIBRARY))

# As in other workflows, the experiment is config/config.yaml of the working folder; else it is the demo.
DEFAULT_CONFIG = "config/config.yaml"
if not Path(DEFAULT_CONFIG).exists():
    DEFAULT_CONFIG = str(PROJECT / DEFAULT_CONFIG)
