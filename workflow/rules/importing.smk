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
    missing = data_import and there and not data_specs.import_report(experiment.dataset)
    return missing and importlib.util.find_spec("cv2")


def require_imported(dataset):
    """For a process that runs one job: the job must read the data as they are now, because that is what it says.

    Args: ``dataset``, of the job's settings.
    """
    splits = {"train", "val", "test"} & dataset.keys() if data_import else ()
    kept = data_specs.import_report(experiment.dataset) if splits else None
    if any(not kept or unlike(layout.split(split)["annotations"]) for split in splits):
        where = ", ".join(input_files.named_data(experiment).values())
        raise WorkflowError(
            f"dataset: files have changed since this run began ({where}); start it again: what has finished stays"
        )


def unlike(copy):
    """Whether a file of the import in the results is another one than that which is kept."""
    kept = import_kept(Path(copy).name)
    return Path(copy).exists() and files.known_sha256(copy) != files.known_sha256(kept)


if workflow.is_main_process and to_import():
    import_now()
