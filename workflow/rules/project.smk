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

from mtpd.experiment import yaml_files
from mtpd.experiment.errors import ConfigError

# As in other workflows, the experiment is config/config.yaml of the working folder; else it is the demo.
DEFAULT_CONFIG = "config/config.yaml"
if not Path(DEFAULT_CONFIG).exists():
    DEFAULT_CONFIG = str(PROJECT / DEFAULT_CONFIG)


def require_sound(configfiles):
    """Stop if a file is not UTF-8 or has a key twice: Snakemake parses it itself, and does not say so."""
    try:
        for path in map(Path, configfiles):
            if path.is_file():  # and no pipe, which can be read only once
                yaml_files.require_unique_keys(path)
    except ConfigError as error:
        raise WorkflowError(str(error)) from None
