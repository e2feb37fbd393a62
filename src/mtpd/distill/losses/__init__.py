"""Distillation losses. Each takes lists of features by level, and boxes; none depends on a detector.

A new loss is one file here, named like the loss, and one line in ``LOSS_OPTIONS`` of
``mtpd.experiment.recipe_schema``. Its ``defaults(student, teacher)`` gives the authors' values for kinds of
detectors where they differ from the signature; a kind is ``two-stage``, ``anchor`` (RetinaNet, GFL, ATSS),
``point`` (RepPoints), ``fcos``, or, without values of their own, ``rtmdet`` or ``yolox``.
"""

from importlib import import_module

from torch import nn

from mtpd.experiment.recipe_schema import LOSS_OPTIONS


def _loss(name: str) -> type[nn.Module]:
    """The class in the loss's file that has ``defaults``."""
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    return next(found for found in vars(module).values() if hasattr(found, "defaults"))


LOSSES = {name: _loss(name) for name in LOSS_OPTIONS}
