"""Checks that need torch: they run before the first job, in ``onstart``.

They are no rule: Snakemake cannot make every job wait for one without also rerunning the jobs when it reran.
"""

import importlib.util
import os
import subprocess


def check_first():
    """Stop before any job if a check fails; what has passed and not changed is not checked again."""
    if not importlib.util.find_spec("torch"):  # with --sdm conda, only the jobs have it
        logger.warning("Data and detectors are not checked before the first job: no torch here.")
        return
    settings = specs.checks(experiment, layout)
    looked_at = [*sources.named_files(experiment).values(), *config_files(experiment.detectors)]
    times = [(path, os.stat(path).st_mtime_ns) for path in looked_at]
    folder = Path(folders.CHECKS) / files.fingerprint([settings, times])
    if (folder / "passed").exists():
        return
    files.write_json(folder / "spec.json", {**settings, "stages": specs.stages_to_come(experiment, layout)})
    logger.info("Checking data, detectors and recipes before the first job ...")
    wrong = folder / "wrong"
    wrong.unlink(missing_ok=True)
    command = [sys.executable, PROJECT / "workflow" / "scripts" / "check.py", "--spec", folder / "spec.json"]
    command += ["--passed", folder / "passed", "--wrong", wrong]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise WorkflowError("Nothing was run:\n" + (wrong.read_text() if wrong.exists() else done.stderr))


onstart:
    check_first()
