"""Checks that need torch: they run before the first job, in ``onstart``.

They are no rule: Snakemake cannot make every job wait for one without also rerunning the jobs when it reran.
"""

import importlib.util
import os
import subprocess
from collections import Counter
from tempfile import TemporaryDirectory

from mtpd import gpus, machine
from mtpd.checks import counts, disk, shared_memory, stage_lengths, subjects, times
from mtpd.experiment import name_lengths
from mtpd.plan import graph


def check_first():
    """Stop before any job if a check fails; what has passed and not changed is not checked again."""
    say_what_is_to_fetch()
    if set(workflow.dag_settings.targets) == {"fetched"}:
        return  # a machine with a network, perhaps without GPUs
    wrong = name_lengths.too_long(experiment, workflow.non_local_exec)
    wrong = wrong or [*gpu_problems(), *shared_memory_problems(), *missing_data(), *files_of_the_future()]
    wrong = wrong or import_problems() or problems_of_subjects()
    if wrong:
        raise WorkflowError("\n".join(["Nothing was run:", *wrong]))


def say_what_is_to_fetch():
    """Which files may have to come from the network: where there is none, all that have to be brought."""
    for path, detector, address in downloads():
        if not Path(path).exists():
            logger.info(f"To be fetched, if a job needs it: {address}, for detectors.{detector}, as {path}")
    for folder in data_to_fetch:
        archive = experiment.dataset.download[folder]
        logger.info(f"To be fetched: {archive.url} ({archive.bytes / 1e9:.1f} GB), for dataset, as {folder}")


def missing_data():
    """The data that are missing, because the other checks read them, and how to get what can be downloaded."""
    missing = consistency.missing_data(experiment)
    if not data_to_fetch:
        return missing
    size = sum(experiment.dataset.download[folder].bytes for folder in data_to_fetch) / 1e9
    return [
        *missing,
        f"dataset: not there yet: {', '.join(data_to_fetch)}: first download {size:.1f} GB with the target "
        "'fetched' (make fetch CONFIG=...), or name your copy in dataset.train and dataset.val",
    ]


def files_of_the_future():
    """A line if files have a time in the future: those that the experiment names, or that jobs of this run read."""
    named = config_files(experiment.detectors)
    named += [place.file for *_, place in input_files.given_checkpoints(experiment) if place.file]
    read = [str(path) for job in jobs_to_run() for path in job.input]
    return times.problems([*named, *read], Path(folders.CHECKS))


def import_problems():
    """Say what the import of the data changed; a line if they are still to be imported."""
    if not data_import:
        return []
    imported = data_specs.import_report(experiment.dataset)
    for line in imported["text"] if imported else ():
        logger.info(f"import: {line}")
    target = f"{folders.DATA}/import.json".format(dataset=layout.dataset)
    if imported or set(workflow.dag_settings.targets) == {target}:
        return []
    return [f"dataset: not imported yet, and no OpenCV here to do it: run the target {target} first"]


def problems_of_subjects():
    """The problems of data, detectors, recipes and disk space."""
    if not importlib.util.find_spec("torch"):  # with --sdm conda, only the jobs have it
        logger.warning("Data and detectors are not checked before the first job: no torch here.")
        return []
    spec = specs.checks(experiment, layout)
    if workflow.deployment_settings.deployment_method:
        spec["gpus"] = 0  # the jobs have another mmcv
    for name, detector in spec["detectors"].items():
        given = [detector["file"], detector.get("initial", {}).get("file")]
        detector["files"] = [*config_files([name]), *filter(None, given)]
    passed = subjects.Passed(spec, Path(folders.CHECKS))
    wrong = check_with_torch(spec) if passed.to_check() else []
    left = stages_to_train()
    if not experiment.rehearsal:  # its stages are always too short
        for line in stage_lengths.warnings(spec, passed, graph.shortest_stages(left)):
            logger.warning(line)
    for line in counts.used(passed):
        logger.info(line)
    for line in counts.warnings(spec, passed):
        logger.warning(line)
    wrong += counts.problems(spec, passed)
    return wrong + disk.problems(spec, passed, Counter(stage.student for stage in left))


def stages_to_train():
    """The stages without results; as many as there can be, where an order of teachers is not known."""
    orders = graph.known_orders(experiment, layout)
    return graph.to_train(graph.stages(experiment, layout, orders).values())


def gpu_problems():
    """A line if fewer GPUs may be used than a job asks for; on this machine, the scheduler learns how many."""
    if not compute.gpus:
        return []
    limit = gpus_for_jobs(lambda: len(gpus.visible()))
    if limit is None or limit >= compute.gpus:
        return []
    return [
        f"compute.gpus: found {compute.gpus}, but jobs may use {limit} together (nvidia-smi on this machine, "
        "CUDA_VISIBLE_DEVICES, --resources gpu=...); expected at most as many, or a run on a cluster "
        "(--profile slurm)"
    ]


def shared_memory_problems():
    """A line if this machine has far too little for data loaders; on a cluster, each stage looks at its own node."""
    if not workflow.local_exec:
        return []
    loaders = specs.loaders(compute, compute.gpus, compute.threads)
    try:
        machine.require_shared_memory(
            shared_memory.needed(specs.checks(experiment, layout), loaders), logger.warning
        )
    except RuntimeError as error:
        return [f"compute.workers: {error}"]
    return []


def check_with_torch(spec):
    """The problems that a program of its own finds, so that Snakemake's memory stays small."""
    logger.info("Checking data, detectors and recipes before the first job ...")
    with TemporaryDirectory() as own:  # another experiment may be checked in this folder at the same time
        asked, wrong = Path(own, "spec.json"), Path(own, "wrong")
        files.write_json(asked, spec)
        command = [sys.executable, PROJECT / "workflow" / "scripts" / "check.py", "--spec", asked]
        command += ["--passed", folders.CHECKS, "--wrong", wrong]
        on_cpu = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONUTF8": "1"}
        done = subprocess.run(command, env=on_cpu, capture_output=True, encoding="utf-8")
        if not done.returncode:
            return []
        return wrong.read_text(encoding="utf-8").splitlines() if wrong.exists() else [done.stderr]


onstart:
    check_first()
    do_not_retry_what_is_final()
