"""Stages in several processes, as rules start them."""

import dataclasses
import json
import os
import subprocess

from conftest import PROJECT


def run_processes(stage, folder, processes):
    """A stage by its script, under torchrun, in ``folder``."""
    paths = ("teacher_weights", "inherited_weights", "parent", "workers")
    fields = {key: value for key, value in dataclasses.asdict(stage).items() if key not in paths}
    (folder / "spec.json").write_text(json.dumps(fields))
    command = [
        "torchrun",
        "--standalone",
        "--nproc-per-node",
        processes,
        PROJECT / "workflow/scripts/stage.py",
    ]
    command += ["--spec", "spec.json", "--teachers", *stage.teacher_weights]
    command += ["--inherit", stage.inherited_weights] if stage.inherited_weights else []
    command += ["--student", "out/student.pth", "--progress", folder / "said"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
