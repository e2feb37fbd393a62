"""Distillation losses. Each takes lists of features by level, and boxes, and knows no detector.

A new loss is one file here, named like the loss, and one line in ``mtpd.config.LOSS_OPTIONS``. Its
``defaults(student, teacher)`` are what its authors use for these kinds of detectors, where that is not what
its signature says; a kind is ``two-stage``, ``anchor`` (RetinaNet, GFL, ATSS), ``point`` (RepPoints) or
``fcos``.
"""

from importlib import import_module

from torch import nn

from mtpd.config import LOSS_OPTIONS


def _loss(name: str) -> type[nn.Module]:
    """The class in the loss's file that has ``defaults``."""
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    return next(found for found in vars(module).values() if hasattr(found, "defaults"))


LOSSES = {name: _loss(name) for name in LOSS_OPTIONS}
