"""Stages as processes: several of them, as rules start them; stages whose checkpoints are slow; threads."""

import dataclasses
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, local
from types import SimpleNamespace

from conftest import PROJECT

SCRIPTS = PROJECT / "workflow/scripts"

# Python imports this module at its start. A stage then needs five seconds to write a file of torch.
SLOW = """
import pathlib, sys, time
if any("scripts/stage.py" in word for word in sys.orig_argv):
    import torch
    save = torch.save
    def slow(*args, **kwargs):
        pathlib.Path(__file__).with_name("saving").touch()
        time.sleep(5)
        save(*args, **kwargs)
    torch.save = slow
"""


def slow_checkpoints(folder):
    """A folder for PYTHONPATH: stages then write checkpoints slowly, and say so in a file ``saving``."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SLOW)
    return folder


def beside(folder):
    """PYTHONPATH with one more folder."""
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


def start_processes(stage, folder, processes, **environment):
    """Start a stage by its script in ``folder``, in so many processes."""
    paths = (
        "teacher_weights",
        "inherited_weights",
        "initial_weights",
        "parent",
        "made_with",
        "workers",
        "trackers",
    )
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


def run_processes(stage, folder, processes, **environment):
    """Run a stage to its end."""
    running = start_processes(stage, folder, processes, **environment)
    _, wrong = running.communicate()
    assert running.returncode == 0, wrong[-3000:]


class Threads:
    """Threads in place of processes, with what mmengine and ``torch.distributed`` say of these."""

    ReduceOp = SimpleNamespace(SUM="sum")

    def __init__(self, count):
        self.count, self.barrier, self.given, self.here = count, Barrier(count), [None] * count, local()

    def is_available(self):
        return True

    is_initialized = is_available

    def get_world_size(self):
        return self.count

    def get_dist_info(self):
        return self.here.rank, self.count

    def all_reduce(self, tensor, op="sum"):
        assert op == "sum"
        self.given[self.here.rank] = tensor.clone()
        self.barrier.wait(timeout=60)
        tensor.copy_(sum(self.given))
        self.barrier.wait(timeout=60)

    def run(self, work):
        """The results of ``work(rank)``."""

        def start(rank):
            self.here.rank = rank
            return work(rank)

        with ThreadPoolExecutor(self.count) as pool:
            return list(pool.map(start, range(self.count)))
