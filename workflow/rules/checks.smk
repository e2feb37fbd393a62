"""Checks that need torch: they run before the first job, in ``onstart``.

They are no rule: Snakemake cannot make every job wait for one without also rerunning the jobs when it reran.
"""

import importlib.util
import os
import subprocess

from mtpd import gpus
from mtpd.checks import disk, subjects
from mtpd.experiment import lengths


def check_first():
    """Stop before any job if a check fails; what has passed and not changed is not checked again."""
    say_what_is_to_fetch()
    if set(workflow.dag_settings.targets) == {"fetched"}:
        return  # a machine with a network, perhaps without GPUs
    wrong = lengths.too_long(experiment, workflow.non_local_exec) or gpu_problems() or problems_of_subjects()
    if wrong:
        raise WorkflowError("\n".join(["Nothing was run:", *wrong]))


def say_what_is_to_fetch():
    """Which files may have to come from the network: where there is none, all that have to be brought."""
    for path, detector, address in downloads():
        if not Path(path).exists():
            logger.info(f"To be fetched, if a job needs it: {address}, for detectors.{detector}, as {path}")


def problems_of_subjects():
    """The problems of data, detectors, recipes and disk space."""
    if not importlib.util.find_spec("torch"):  # with --sdm conda, only the jobs have it
        logger.warning("Data and detectors are not checked before the first job: no torch here.")
        return []
    spec = specs.checks(experiment, layout)
    if workflow.deployment_settings.deployment_method:
        spec["gpus"] = 0  # the jobs have another mmcv
    for name, detector in spec["detectors"].items():
        detector["files"] = [*config_files([name]), *filter(None, [detector["file"]])]
    passed = subjects.Passed(spec, Path(folders.CHECKS))
    wrong = check_with_torch(spec) if passed.to_check() else []
    return wrong + disk.problems(spec, passed, stages_to_come())


def gpu_problems():
    """A line if fewer GPUs may be used than a job asks for; on this machine, the scheduler learns how many."""
    if not compute.gpus:
        return []
    if workflow.local_exec and "gpu" not in workflow.global_resources:
        found = len(gpus.visible())
        workflow.register_resource("gpu", found)
        workflow.scheduler.global_resources["gpu"] = found  # which register_resource leaves out
    limit = workflow.scheduler.global_resources.get("gpu", compute.gpus)
    if limit >= compute.gpus:
        return []
    return [
        f"compute.gpus: found {compute.gpus}, but jobs may use {limit} together (nvidia-smi on this machine, "
        "CUDA_VISIBLE_DEVICES, --resources gpu=...); expected at most as many, or a run on a cluster "
        "(--profile slurm)"
    ]


def check_with_torch(spec):
    """The problems that a program of its own finds, so that Snakemake's memory stays small."""
    folder = Path(folders.CHECKS)
    files.write_json(folder / "spec.json", spec)
    logger.info("Checking data, detectors and recipes before the first job ...")
    wrong = folder / "wrong"
    wrong.unlink(missing_ok=True)
    command = [sys.executable, PROJECT / "workflow" / "scripts" / "check.py", "--spec", folder / "spec.json"]
    command += ["--passed", folder, "--wrong", wrong]
    on_cpu = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=on_cpu, capture_output=True, text=True)
    if not done.returncode:
        return []
    return wrong.read_text().splitlines() if wrong.exists() else [done.stderr]


def stages_to_come():
    """How many stages are left to train at most, by student; a detector with ``train`` is one more."""
    left = specs.stages_to_come(experiment, layout)
    for name, detector in experiment.detectors.items():
        if detector.train and not Path(trained(name, "student.pth")).exists():
            left[name] = left.get(name, 0) + 1
    return left


onstart:
    check_first()
    do_not_retry_what_is_final()
