"""The import of the data. It is done before the graph is made, because what is in the data decides which jobs run.

Jobs then copy it to the results.
"""

import importlib.util
import os
import subprocess


def import_now():
    """Import the data as they are now, and keep that; stop if they mean two things."""
    spec = spec_file(folders.DATA.format(dataset=layout.dataset), "import", data_import)
    command = [sys.executable, PROJECT / "workflow" / "scripts" / "import_data.py", "--spec", spec]
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": str(LIBRARY)}
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, encoding="utf-8")
    if done.returncode:
        raise WorkflowError(f"Nothing was run:\n{done.stderr.rstrip()}")


def to_import():
    """Whether the data are there and not imported yet. With --sdm conda, only jobs may have what it needs."""
    there = not data_to_fetch and not consistency.missing_data(experiment)
    return (
        data_import
        and there
        and not Path(import_kept("import.json")).exists()
        and importlib.util.find_spec("cv2")
    )


if workflow.is_main_process and to_import():
    import_now()
