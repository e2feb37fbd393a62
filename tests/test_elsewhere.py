"""The workflow from other folders: paths with spaces, another working folder, and as a module."""

import json
import os
import shutil
import subprocess

import pytest
import yaml
from conftest import PROJECT
from snakes import TINY

from mtpd.detectors.checkpoints import read_checkpoint

PARTS = ("Snakefile", "workflow", "src", "config", "envs", "profiles")


@pytest.fixture
def project(tmp_path):
    """A copy of the project in a folder with a space in its name."""
    folder = tmp_path / "my project"
    folder.mkdir()
    for name in PARTS:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, folder / name)
    return folder


@pytest.fixture
def elsewhere(tmp_path):
    """An empty working folder, with a space in its name."""
    folder = tmp_path / "my results"
    folder.mkdir()
    return folder


def snakemake(snakefile, folder, *arguments):
    """What Snakemake prints; it must succeed."""
    command = ["snakemake", "-s", snakefile, "-d", folder, "--cores", "2", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_stage_runs_from_a_path_with_spaces(project, elsewhere, monkeypatch):
    """Detectors, checks, and a stage with a teacher; configs and library are this project's."""
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))  # of the user
    (project / "src/mtpd/__init__.py").write_text('__version__ = "of the copy"\nRESULTS_VERSION = 1\n')
    metrics = "results/few-shapes/students/student/pkd/swin@1/seed0/metrics.json"
    snakemake(project / "Snakefile", elsewhere, metrics, "--configfile", TINY)
    assert "AP" in json.loads((elsewhere / metrics).read_text())["bbox"]
    student = read_checkpoint((elsewhere / metrics).with_name("student.pth"))
    assert student["meta"]["mtpd"]["version"] == "of the copy"


def test_a_config_of_the_working_folder_goes_before_the_projects(project, elsewhere):
    own = elsewhere / "config/detectors"
    own.mkdir(parents=True)
    for name in ("r18_w8.py", "r18_w32.py"):  # the second builds on the first
        shutil.copy(PROJECT / "config/detectors" / name, own)
    said = snakemake(project / "Snakefile", elsewhere, "-n", "--configfile", TINY)
    assert "config/detectors/r18_w32.py" in said
    assert f"{project}/config/detectors/r18_w32.py" not in said
    assert f"{project}/config/detectors/swin_w32.py" in said


@pytest.mark.parametrize("name", ["Snakefile", "workflow/Snakefile"])
def test_without_a_config_file_the_demo_is_planned(name, project, elsewhere):
    assert "results/demo/tables/main.csv" in snakemake(project / name, elsewhere, "-n")


OUTER = """
module mtpd:
    snakefile:
        "{project}/workflow/Snakefile"
    config:
        config["mtpd"]


use rule * from mtpd as mtpd_*


rule outer:
    default_target: True
    input:
        "results/few-shapes/data/val.json",
    output:
        "path.txt",
    shell:
        "echo $PATH > {{output}}"
"""


def test_the_workflow_is_a_module_of_another(project, elsewhere):
    """Its jobs run, its whole graph is planned, and the jobs of the other workflow do not see it."""
    (elsewhere / "Snakefile").write_text(OUTER.format(project=project))
    (elsewhere / "outer.yaml").write_text(yaml.safe_dump({"mtpd": yaml.safe_load(TINY.read_text())}))
    snakemake(elsewhere / "Snakefile", elsewhere, "--configfile", elsewhere / "outer.yaml")
    assert (elsewhere / "path.txt").read_text().strip() == os.environ["PATH"]
    target = "results/tiny/tables/main.csv"
    said = snakemake(
        elsewhere / "Snakefile", elsewhere, "-n", target, "--configfile", elsewhere / "outer.yaml"
    )
    for rule in ("mtpd_train_stage", "mtpd_order_teachers", "mtpd_write_tables"):
        assert rule in said


def test_a_remote_module_is_refused(project, elsewhere):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"], ["tag", "v1"]):
        subprocess.run([*git, *arguments], cwd=project, check=True)
    remote = f'gitfile("{project}", path="workflow/Snakefile", tag="v1")'
    outer = OUTER.format(project=project).replace(f'"{project}/workflow/Snakefile"', remote)
    (elsewhere / "Snakefile").write_text(outer)
    command = ["snakemake", "-n", "-d", elsewhere, "-s", elsewhere / "Snakefile", "--config", "mtpd={}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "mtpd cannot run from a remote address" in done.stdout + done.stderr
