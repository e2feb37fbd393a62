"""Stages in several processes, as rules start them."""

import dataclasses
import json
import os
import subprocess
import sys

from conftest import PROJECT

SCRIPTS = PROJECT / "workflow/scripts"


def start_processes(stage, folder, processes, **environment):
    """Start a stage by its script in ``folder``, in so many processes."""
    paths = ("teacher_weights", "inherited_weights", "parent", "workers")
    fields = {key: value for key, value in dataclasses.asdict(stage).items() if key not in paths}
    (folder / "spec.json").write_text(json.dumps(fields))
    command = [sys.executable, SCRIPTS / "processes.py", processes, SCRIPTS / "stage.py"]
    command += ["--spec", "spec.json", "--teachers", *stage.teacher_weights]
    command += ["--inherit", stage.inherited_weights] if stage.inherited_weights else []
    command += ["--student", "out/student.pth", "--progress", folder / "said"]
    return subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run_processes(stage, folder, processes):
    """Run a stage to its end."""
    running = start_processes(stage, folder, processes)
    _, wrong = running.communicate()
    assert running.returncode == 0, wrong[-3000:]
