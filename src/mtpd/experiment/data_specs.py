"""What a job is told of the data set: where its splits are, and what is in them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mtpd import files
from mtpd.datasets import IMPORT_VERSION, content
from mtpd.experiment.folders import Layout, imported
from mtpd.experiment.schema import OF_IMPORTS, Dataset, Experiment, Fraction, Split

SPLITS = ("train", "val")
NOT_IMPORTED = "not imported yet"  # in place of the content of a split


def split(experiment: Experiment, layout: Layout, name: str) -> dict[str, str]:
    """A split's annotation file and folder of images, as jobs read them."""
    dataset, found = experiment.dataset, layout.split(name)
    if dataset.generate:
        return found
    own = getattr(dataset, name)
    given = own if isinstance(own, Split) else dataset.train
    return {**found, "images": dataset.source or given.images}


def annotations(experiment: Experiment, layout: Layout) -> dict[str, str]:
    """The annotation file of each split."""
    return {name: split(experiment, layout, name)["annotations"] for name in SPLITS}


def dataset(experiment: Experiment, layout: Layout, splits: tuple[str, ...] = SPLITS) -> dict:
    """A data set for jobs that look at its images. Args: ``splits``, those that the job reads."""
    spec = experiment.dataset.model_dump(include={"name", "scale"})
    return {**spec, **{name: _split_with_content(experiment, layout, name) for name in splits}}


def _split_with_content(experiment: Experiment, layout: Layout, name: str) -> dict:
    """A split with what is in it: what it is generated from, or the hash of what was imported."""
    generate = experiment.dataset.generate
    if generate:
        made_of = {"images": getattr(generate, name), **generate.model_dump(include={"size", "seed"})}
    else:
        report = import_report(experiment.dataset)
        made_of = report["splits"][name]["content"] if report else NOT_IMPORTED
    return {**split(experiment, layout, name), "content": made_of}


def data_import(dataset: Dataset) -> dict | None:
    """What the import of a data set is told and depends on; None for one that is generated."""
    if dataset.generate:
        return None
    spec = {**dataset.model_dump(include=set(OF_IMPORTS)), "version": IMPORT_VERSION}
    if dataset.source:
        spec |= {"source": dataset.source, "content": _in_folder(dataset.source)}
    else:
        spec["train"] = _given(dataset.train)
    if dataset.test:
        spec["test"] = _given(dataset.test)
    if isinstance(dataset.val, Split):
        return {**spec, "val": _given(dataset.val)}
    val = dataset.val or Fraction()
    return {**spec, "val_fraction": val.fraction, "seed": val.seed}


def _given(split: Split) -> dict:
    there = Path(split.annotations).is_file()
    found = [files.known_sha256(split.annotations) if there else None, _in_folder(split.images)]
    return {**split.model_dump(), "content": found}


_in_folder = cache(content.digest)


def import_report(dataset: Dataset) -> dict | None:
    """What the import of a data set says, as its files are now; None if it has to be imported yet."""
    told = data_import(dataset)
    return kept(Path(imported(told))) if told else None


def kept(folder: Path) -> dict | None:
    """What the import that is kept in a folder says; None if it is not there, or not whole."""
    path = folder / "import.json"
    found = _read(path) if path.exists() else None
    return found if found and all((folder / f"{name}.json").exists() for name in found["splits"]) else None


_read = cache(files.read_json)


def stood_in_for(experiment: Experiment) -> str | None:
    """The training annotations on disk whose classes a rehearsal draws, though they may be missing."""
    dataset = experiment.dataset
    return dataset.train.annotations if dataset.generate and dataset.train else None


def scored_dataset(experiment: Experiment, layout: Layout, splits: tuple[str, ...] = SPLITS) -> dict:
    """``dataset`` for a job that scores; the default evaluator is not named, so older results stay valid."""
    evaluator = experiment.dataset.model_dump(include={"evaluator"}, exclude_defaults=True)
    return {**dataset(experiment, layout, splits), **evaluator}


def trained_dataset(experiment: Experiment, layout: Layout) -> dict:
    """``dataset`` for a job that trains."""
    training = experiment.dataset.model_dump(include={"flip", "skip_empty_images", "min_image_side"})
    return {**scored_dataset(experiment, layout), **training}
