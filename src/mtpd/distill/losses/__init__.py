"""Distillation losses. Each takes lists of features by level, and boxes; none depends on a detector.

A new loss is one file here, named like the loss, whose ``LOSS`` is its class, and one line in
``LOSS_OPTIONS`` of ``mtpd.experiment.recipe_schema``. Its ``defaults(student, teacher)`` gives the authors'
values for kinds of detectors where they differ from the signature; a kind is ``two-stage``, ``anchor``
(RetinaNet, GFL, ATSS), ``point`` (RepPoints) or ``fcos``.
"""

from importlib import import_module

from torch import nn

from mtpd.experiment.recipe_schema import LOSS_OPTIONS


def _loss(name: str) -> type[nn.Module]:
    """The class of a loss, which its file names."""
    return import_module(f"{__name__}.{name.replace('-', '_')}").LOSS


LOSSES = {name: _loss(name) for name in LOSS_OPTIONS}
