"""The experiment, its wildcards, and how a command starts. Nothing here imports torch or mmdet."""

import json
import re
import shlex
from functools import partial

from mtpd import files
from mtpd.experiment import backbones, card_specs, chains, consistency, data_specs, folders, identity
from mtpd.experiment import input_files, outputs, rows, specs, stage_inputs, test_split
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.reading import load_with_files

require_sound(workflow.configfiles)
config_folders = [Path(file).parent for file in reversed(workflow.configfiles)]

try:
    experiment = load_with_files(
        config, ", ".join(map(str, workflow.configfiles)) or "config", PROJECT, config_folders
    )
    sources_of = {name: input_files.config_files(d.config) for name, d in experiment.detectors.items()}
except ConfigError as error:
    raise WorkflowError(str(error)) from None

layout = folders.Layout(experiment.experiment, experiment.dataset.name)
compute = experiment.compute

# The interpreter of a job: this one, or that of the environment which Snakemake activates for the job.
PYTHON = "python" if workflow.deployment_settings.deployment_method else shlex.quote(sys.executable)
SCRIPTS = shlex.quote(str(PROJECT / "workflow" / "scripts"))


def script(name, on_gpus=None, options=""):
    """The beginning of a command: this project's library, GPUs, the interpreter and the script.

    Args: the script's file; on how many GPUs it computes, if it computes at all, with a process for each; options
    that change no result.

    Results stay valid when the environment moves, or the project in whose folder Snakemake runs.

    pycocotools and mmdet read text in the encoding of the locale; PYTHONUTF8 makes that UTF-8.
    """
    count = on_gpus or 0
    path = f'PYTHONPATH={shlex.quote(str(LIBRARY))}"${{PYTHONPATH:+:$PYTHONPATH}}"'
    launch = f"{SCRIPTS}/processes.py {count} " if count > 1 else ""
    asked = "" if on_gpus is None else f" --gpus {count}"
    return not_compared(
        lambda wildcards, threads: (
            f"PYTHONUTF8=1 OMP_NUM_THREADS={max(1, threads // max(1, count))} {path} {_devices(count)}"
            f"{PYTHON} {launch}{SCRIPTS}/{name}{asked}{options}"
        )
    )


def trackers():
    return f" --trackers {' '.join(experiment.trackers)}" if experiment.trackers else ""


def _devices(count):
    """What gives a command its GPUs. Without any it sees none, so torch uses the CPU."""
    if not count:
        return "CUDA_VISIBLE_DEVICES= "
    return "" if workflow.remote_exec else f"{PYTHON} {SCRIPTS}/with_gpus.py {count} "


def on_one_node(gpus):
    """The processors of a job, on a cluster.

    Snakemake limits ``threads`` by the cores of the head node, which says nothing of a compute node; on the
    compute node, it limits them by the cores of the job. The job then uses as many threads and data loaders.
    """
    return {
        "nodes": 1,
        "cpus_per_task": compute.threads,
        "gpu": gpus,
        "loaders": lambda wildcards, threads: specs.loaders(compute, gpus, threads),
    }


def one_of(names):
    """A wildcard's pattern: these names only."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    experiment=one_of([experiment.experiment]),
    dataset=one_of([experiment.dataset.name]),
    detector=one_of(experiment.detectors),
    student=one_of(experiment.detectors),
    pool=one_of(experiment.pools),
    recipe=one_of(experiment.recipes),
    chain=chains.CHAIN,
    seed=r"\d+",


def spec_file(folder, name, spec):
    """A job's settings, in a file beside its log.

    The file is named by what the settings make, and Snakemake compares the name: a job runs again when they
    change, but not when files have moved. A dry run writes nothing.
    """
    if not workflow.is_main_process:
        require_imported(spec.get("dataset", {}))
    path = Path(folders.logs(folder), f"{name}-{identity.digest(spec)}.json")
    if not workflow.dryrun and not (path.exists() and files.read_json(path) == json.loads(json.dumps(spec))):
        files.write_json(path, spec)
    return str(path)


def plot(name, caption):
    """A plot in all its forms; the first goes into Snakemake's report."""
    first, *others = (f"{folders.PLOTS}/{name}.{form}" for form in outputs.OF_A_PLOT)
    return [report(first, caption=caption, category="Plots"), *others]
