"""Running real Snakemake in tests."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import yaml
from conftest import PROJECT

from mtpd import files
from mtpd.checks import problems, subjects
from mtpd.datasets.changes import ImportStopped
from mtpd.datasets.importing import import_dataset
from mtpd.experiment import data_specs, folders, identity, input_files, specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import load_with_files
from mtpd.plan import graph

TINY = PROJECT / "tests/data/tiny.yaml"


def command(folder, *arguments, config=TINY):
    """Snakemake's command line for an experiment whose results stand in ``folder``."""
    start = ["snakemake", "-s", PROJECT / "Snakefile", "-d", folder, "--cores", "2", "--configfile", config]
    return [*start, *arguments]


def snakemake(folder, *arguments, config=TINY):
    """Exit status, and all it said."""
    return run(command(folder, *arguments, config=config))


def run(command):
    """Exit status, and all that a command of Snakemake says, in the variables and the folder of now."""
    with tempfile.TemporaryDirectory() as folder:
        said = [f"{folder}/stdout", f"{folder}/stderr"]
        request = {"command": list(map(str, command)), "folder": os.getcwd(), "environment": dict(os.environ)}
        server = _server()
        print(json.dumps(request | {"stdout": said[0], "stderr": said[1]}), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        return code, "".join(Path(path).read_text(encoding="utf-8") for path in said)


@cache
def _server():
    """One for each test process; it ends with it, because its input ends."""
    program = [sys.executable, PROJECT / "tests/snakemake_server.py"]
    return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def dry_run(folder, config, *targets):
    """What a dry run says."""
    code, said = snakemake(folder, "-n", "--", *targets, config=config)
    assert code == 0, said
    return said


def planned(folder, config, *targets):
    """How many jobs of each rule a dry run plans."""
    return jobs_of(dry_run(folder, config, *targets))


def jobs_of(said):
    """How many jobs of each rule a dry run has said to plan."""
    table = said.partition("Job stats:")[2]
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE))
    return {rule: int(count) for rule, count in jobs.items() if rule not in ("total", "all")}


def stages_of(said):
    """The stages that a dry run has said to train, each with the checkpoints that it reads."""
    jobs = re.findall(
        r"^rule train_stage:\n    input: (.*)\n    output: (\S+)/student.pth", said, re.MULTILINE
    )
    return {folder: {path for path in read.split(", ") if is_weights(path)} for read, folder in jobs}


def is_weights(path):
    """Whether a job reads a checkpoint of a detector or a stage there, and no pretrained backbone."""
    return Path(path).name in ("weights.pth", "initial.pth", "student.pth")


def stages_of_plan(experiment):
    """The same of the plan, which makes no use of Snakemake; without stages that wait for an order."""
    layout = Layout(experiment.experiment, experiment.dataset.name)
    nodes = graph.stages(experiment, layout, lambda student, pool: None).values()
    return {node.key: set(node.checkpoints) for node in nodes if not node.pool}


def changed(folder, name, change, source=TINY):
    """A copy of an experiment file, changed."""
    experiment = json.loads(
        json.dumps(yaml.safe_load(source.read_text()))
    )  # nothing shared through YAML's anchors
    change(experiment)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(experiment, sort_keys=False))
    return path


def as_checked(folder, config, **facts):
    """The experiment file; its checks count as passed, so that this machine's mmcv is not asked for GPUs.

    Args: ``facts``, which the checks are to have found, besides those that every run asks for.
    """
    experiment = load_with_files(yaml.safe_load(config.read_text()), str(config), PROJECT)
    _, passed = to_check(experiment, folder)
    for subject in passed.to_check():
        passed.add(subject, {"numbers": 1, "masks": False, **facts})
    return config


def to_check(experiment, folder):
    """What the checks before the first job are asked, and what has passed in this working folder."""
    spec = specs.checks(experiment, Layout(experiment.experiment, experiment.dataset.name))
    for name, detector in spec["detectors"].items():
        given = [detector["file"]] if detector["file"] else []
        detector["files"] = [*sorted(input_files.config_files(experiment.detectors[name].config)), *given]
    return spec, subjects.Passed(spec, folder / "work/checks")


def found_wrong(folder, content):
    """What the import of the data and the checks with torch find, called as Snakemake's programs do."""
    data_specs._in_folder.cache_clear()  # another working folder may have data at the same place
    with contextlib.chdir(folder):
        experiment = load_with_files(content, "own.yaml", PROJECT)
        told = data_specs.data_import(experiment.dataset)
        try:
            if told and not data_specs.import_report(experiment.dataset):
                import_dataset(told, Path(folders.imported(told)), list)
        except ImportStopped as stopped:
            return stopped.stops
        return problems.problems(*to_check(experiment, folder), list)


def checked(folder, config):
    """The experiment file, checked in this process, which has torch: Snakemake does not check it again."""
    assert not found_wrong(folder, yaml.safe_load(config.read_text(encoding="utf-8")))
    return config


def as_made(folder, config):
    """The experiment file; the results in the folder say that it made them, so nothing runs again for it."""
    experiment = load_with_files(yaml.safe_load(config.read_text(encoding="utf-8")), str(config), PROJECT)
    layout = Layout(experiment.experiment, experiment.dataset.name)
    for node in graph.stages(experiment, layout, lambda *_: None).values():
        if node.known:
            which = node.student, node.recipe, node.chain, node.seed
            _say(folder / node.key / "metrics.json", specs.stage(experiment, layout, *which))
    for name, detector in experiment.detectors.items():
        if train := detector.train:
            stage = folder / layout.stage(name, train.recipe, f"none@{train.epochs}", train.seed)
            shutil.copy(stage / "metrics.json", folder / layout.detector(name, "metrics.json"))
    return config


def _say(path, spec):
    if path.exists():
        times = os.stat(path).st_atime, os.stat(path).st_mtime
        files.write_json(path, {**files.read_json(path), identity.KEY: identity.made_with(spec)})
        os.utime(path, times)
