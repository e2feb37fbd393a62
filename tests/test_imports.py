"""Which package of the library may import which."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src/mtpd"
SCRIPTS = SOURCES.parents[1] / "workflow/scripts"

# A package may import itself and those named here; so no import is circular.
ALLOWED = {
    "": set(),  # mtpd itself: its version
    "files": set(),
    "fetch": {"files"},
    "gpus": set(),
    "images": set(),
    "fonts": set(),
    "machine": set(),
    "datasets": {"files", "fetch", "fonts", "images"},
    "experiment": {"files", "datasets"},
    "data": {"files", "fetch", "images"},
    "detectors": {"", "files", "fetch", "data", "experiment"},
    "distill": {"data", "detectors", "experiment"},
    "evaluation": {"files", "fonts", "images", "data", "detectors"},
    "export": {"files", "data", "detectors", "evaluation"},
    "adaptation": {"data", "detectors"},
    "job": {"files"},
    "plan": {"files", "experiment", "job"},
    "training": {"", "files", "data", "detectors", "distill", "evaluation", "experiment", "job"},
    "report": {"files", "fonts", "images", "experiment", "job"},
    "checks": {"files", "machine", "data", "datasets", "detectors", "training"},
}
# Reading an experiment must be quick, and work where only Snakemake is installed.
HEAVY = {"torch", "torchvision", "mmdet", "mmcv", "mmengine", "numpy", "pandas", "matplotlib"}


def package_of(path):
    """The package that a module belongs to."""
    first = path.relative_to(SOURCES).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imported(path):
    """Full names of the modules and objects that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages_imported(path):
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "mtpd":
            yield parts[1] if len(parts) > 1 else ""


MODULES = sorted(SOURCES.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCES)))
def test_a_module_imports_only_what_its_package_may(path):
    own = package_of(path)
    assert set(packages_imported(path)) <= ALLOWED[own] | {own}


def test_no_package_imports_in_a_circle():
    done = set()
    while len(done) < len(ALLOWED):
        ready = {name for name, needs in ALLOWED.items() if name not in done and needs <= done}
        assert ready, f"a circle among {set(ALLOWED) - done}"
        done |= ready


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if package_of(p) in ("experiment", "plan", "files", "fetch")],
    ids=lambda p: p.name,
)
def test_reading_an_experiment_imports_no_heavy_package(path):
    assert not {name.split(".")[0] for name in imported(path)} & HEAVY


@pytest.mark.parametrize("path", [p for p in MODULES if package_of(p) == "datasets"], ids=lambda p: p.name)
def test_importing_data_imports_no_trainer(path):
    assert not {name.split(".")[0] for name in imported(path)} & (HEAVY - {"numpy", "matplotlib"})  # pictures


@pytest.mark.parametrize("name", ["plot_costs.py", "order_study.py"])
def test_reports_of_adaptation_costs_start_without_torch(name, tmp_path):
    """To import it takes longer than all else that they do."""
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{SOURCES.parent}"}
    done = subprocess.run([sys.executable, SCRIPTS / name, "--help"], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCES)))
def test_the_library_does_not_know_snakemake(path):
    assert not [name for name in imported(path) if name.startswith("snakemake")]


def test_no_file_is_long():
    files = [*MODULES, *SOURCES.parents[1].glob("workflow/**/*.smk"), *SOURCES.parents[1].glob("tests/*.py")]
    assert {str(path): lines for path in files if (lines := len(path.read_text().splitlines())) > 250} == {}
