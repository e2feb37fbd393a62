"""The files that an experiment is made of: those it names, and those that mmdet configs build on."""

from __future__ import annotations

import ast
import csv
from functools import cache
from pathlib import Path

from mtpd import files
from mtpd.experiment.detector_schema import MMDET, Checkpoint, Detector
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.plain_values import plain_value
from mtpd.experiment.schema import Experiment, Split

PAPER_RESULTS = "config/paper/results.csv"  # of this project


def paper_results(project: Path) -> set[str]:
    """The ids of the paper's results."""
    with open(project / PAPER_RESULTS, encoding="utf-8", newline="") as file:
        return {line["id"] for line in csv.DictReader(file)}


def named_files(experiment: Experiment) -> dict[str, str]:
    """The configs and checkpoints on disk that the experiment names, by key."""
    named = {}
    for name, detector in experiment.detectors.items():
        if not detector.config.startswith(MMDET):
            named[f"detectors.{name}.config"] = detector.config
        if detector.file:
            named[f"detectors.{name}.file"] = detector.file
        if detector.initial and detector.initial.file:
            named[f"detectors.{name}.initial.file"] = detector.initial.file
    return named


def given_checkpoints(experiment: Experiment) -> list[tuple[str, str, Checkpoint]]:
    """Every checkpoint that the workflow takes as it is.

    Returns:
        The detector, the name of the file among its results, and where it comes from.
    """
    found: list[tuple[str, str, Checkpoint]] = []
    for name, detector in experiment.detectors.items():
        found.append((name, "weights.pth", detector))
        if detector.initial:
            found.append((name, "initial.pth", detector.initial))
    return [given for given in found if given[2].place]


def named_data(experiment: Experiment) -> dict[str, str]:
    """The annotation files and folders of images on disk that the experiment names, by key."""
    dataset = experiment.dataset
    if dataset.generate:  # a rehearsal draws what it names
        return {}
    if dataset.source:
        return {"dataset.source": dataset.source}
    splits = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    return {
        f"dataset.{name}.{key}": path
        for name, split in splits.items()
        if isinstance(split, Split)
        for key, path in split.model_dump().items()
    }


def downloadable(experiment: Experiment) -> dict[str, list[str]]:
    """The folders of data that can be downloaded, each with the named files in it, or with itself."""
    folders: dict[str, list[str]] = {}
    for path in named_data(experiment).values():
        for folder in {path, str(Path(path).parent)} & experiment.dataset.download.keys():
            folders.setdefault(folder, []).append(path)
    return folders


def data_to_fetch(experiment: Experiment) -> dict[str, list[str]]:
    """The folders of data to download: those that are missing. A folder with files is left as it is."""
    return {
        folder: paths
        for folder, paths in downloadable(experiment).items()
        if not any(Path(folder).glob("*")) and not any(Path(path).exists() for path in paths)
    }


def with_shipped_files(experiment: Experiment, project: Path) -> Experiment:
    """The experiment with the project's own configs and checkpoints found, wherever Snakemake runs.

    A relative path is the user's where it exists in the working folder, and otherwise the project's.
    """
    found = {name: _with_shipped(detector, project) for name, detector in experiment.detectors.items()}
    return experiment.model_copy(update={"detectors": found})


def _with_shipped(detector: Detector, project: Path) -> Detector:
    def found(path: str | None) -> str | None:
        is_shipped = path and not Path(path).exists() and (project / path).exists()
        return str(project / path) if is_shipped else path

    initial = detector.initial
    initial = initial and initial.model_copy(update={"file": found(initial.file)})
    moved = {"config": found(detector.config), "file": found(detector.file), "initial": initial}
    return detector.model_copy(update=moved)


def config_files(config: str) -> list[str]:
    """The files on disk that an mmdet config is made of: itself, what it builds on, and own modules of both.

    Configs that come with mmdet are left out: its version is pinned.

    Raises:
        ConfigError: a file is missing, or is not Python.
    """
    made_of = [path for file, modules in _configs(config) for path in (file, *modules.values())]
    return list(dict.fromkeys(made_of))


def own_modules(config: str) -> dict[str, str]:
    """The user's own modules that a config imports, by name: files beside it, or beside its ``_base_``.

    Raises:
        ConfigError: see ``config_files``.
    """
    bases_first = reversed(_configs(config))
    return {name: path for _, modules in bases_first for name, path in modules.items()}


def _configs(config: str) -> list[tuple[str, dict[str, str]]]:
    """A config on disk and those that it builds on (``_base_``), each with its modules that lie beside it.

    Other modules that ``custom_imports`` names are installed ones.
    """
    if config.startswith(MMDET):
        return []
    folder = Path(config).parent
    try:
        tree = ast.parse(Path(config).read_text(encoding="utf-8"), config)
        bases, imports = _bases(tree), _custom_imports(tree)
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError(f"{config}: cannot be read as an mmdet config: {error}") from None
    beside = {name: folder / f"{name}.py" for name in imports}
    found = [(config, {name: str(path) for name, path in beside.items() if path.exists()})]
    for base in bases:
        found += _configs(base if base.startswith(MMDET) else str(folder / base))
    return found


@cache
def content(config: str) -> str:
    """What an mmdet config is: the hash of all files that it is made of, or its name in mmdet.

    Raises:
        ConfigError: as ``config_files``.
    """
    if config.startswith(MMDET):
        return config
    return files.fingerprint([files.known_sha256(path) for path in config_files(config)])


def _bases(tree: ast.Module) -> list[str]:
    """What a config's ``_base_`` names.

    Raises:
        ValueError: the names are not plain strings, or stand in a ``with read_base()`` block.
    """
    bases: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.With):
            raise ValueError("'with read_base()' is not supported; use _base_")
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "_base_":
            found = ast.literal_eval(node.value)
            bases += [found] if isinstance(found, str) else found
    return bases


def _custom_imports(tree: ast.Module) -> list[str]:
    """The modules that a config's ``custom_imports`` names.

    Raises:
        ValueError: the names are not plain strings.
    """
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "custom_imports":
            value = plain_value(node.value, {})
            imports = value.get("imports") if isinstance(value, dict) else None
            names = [imports] if isinstance(imports, str) else imports
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("custom_imports: expected dict(imports=['module', ...]) with plain names")
    return names
