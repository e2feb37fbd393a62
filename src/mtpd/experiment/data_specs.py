"""What a job is told of the data set: where its splits are, and what is in them."""

from __future__ import annotations

from functools import cache

from mtpd import files
from mtpd.datasets import content
from mtpd.experiment import identity
from mtpd.experiment.layout import Layout
from mtpd.experiment.schema import Dataset, Experiment, Fraction

SPLITS = ("train", "val")


def split(experiment: Experiment, layout: Layout, name: str) -> dict[str, str]:
    """A split's annotation file and folder of images."""
    dataset = experiment.dataset
    if dataset.generate:
        return layout.split(name)
    if dataset.source:
        return {**layout.split(name), "images": dataset.source}
    return getattr(dataset, name).model_dump()


def annotations(experiment: Experiment, layout: Layout) -> dict[str, str]:
    """The annotation file of each split."""
    return {name: split(experiment, layout, name)["annotations"] for name in SPLITS}


def dataset(experiment: Experiment, layout: Layout, splits: tuple[str, ...] = SPLITS) -> dict:
    """A data set for jobs that look at its images. Args: ``splits``, those that the job reads."""
    spec = experiment.dataset.model_dump(include={"name", "scale"})
    return {**spec, **{name: _split_with_content(experiment, layout, name) for name in splits}}


def _split_with_content(experiment: Experiment, layout: Layout, name: str) -> dict:
    """A split with what is in its annotation file: its hash, or what it is generated from."""
    found = split(experiment, layout, name)
    generate = experiment.dataset.generate
    if generate:
        made_of = {"images": getattr(generate, name), **generate.model_dump(include={"size", "seed"})}
    elif experiment.dataset.source:
        made_of = identity.digest(data_import(experiment.dataset))
    else:
        made_of = files.known_sha256(found["annotations"])
    return {**found, "content": made_of}


_in_folder = cache(content.digest)


def data_import(dataset: Dataset) -> dict | None:
    """What the import of a data set is told and depends on, if it has a ``source``."""
    if dataset.generate or not dataset.source:
        return None
    val = dataset.val or Fraction()
    return {
        "source": dataset.source,
        "content": _in_folder(dataset.source),
        "val_fraction": val.fraction,
        "seed": val.seed,
        **dataset.model_dump(include={"classes", "strict", "allowed_share"}),
    }


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
