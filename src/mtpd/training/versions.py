"""Which version of the code trained the saved state of a stage: only one that trains the same may go on."""

from __future__ import annotations

from pathlib import Path

import mtpd
from mtpd import files
from mtpd.job.errors import OtherVersionError

FILE = "results_version.txt"  # in the folder of a stage's state


def require_same_results(folder: Path) -> None:
    """Check that the state in a folder was trained by code that trains the same as this.

    Raises:
        OtherVersionError: it was not.
    """
    path = folder / FILE
    found = path.read_text(encoding="utf-8").strip() if path.exists() else str(mtpd.RESULTS_VERSION)
    if found != str(mtpd.RESULTS_VERSION):
        raise OtherVersionError(
            f"{folder}: the saved state is of code with results version {found}, and this code has "
            f"{mtpd.RESULTS_VERSION}: the rest would be trained otherwise than the beginning. To start over, "
            f"delete the folder. To go on all the same, delete {path}. Or finish it with the earlier code"
        )


def write(folder: Path) -> None:
    """Say that the state in a folder is this version's."""
    files.write_text(folder / FILE, f"{mtpd.RESULTS_VERSION}\n")
