"""How much shared memory the data loaders of an experiment's stages fill at most; needs no torch."""

from __future__ import annotations

from mtpd import machine


def needed(spec: dict, loaders: int) -> int:
    """Bytes, for the stage that fills most.

    Args:
        spec: of ``mtpd.experiment.specs.checks``.
        loaders: of each process.
    """
    detectors = spec["detectors"]
    together = [*spec["pairs"], *([name] for name, found in detectors.items() if found["trained"])]
    return max(
        machine.bytes_of_batches(loaders, recipe, spec["dataset"], (detectors[name] for name in names))
        for recipe in spec["recipes"].values()
        for names in together
    )
