"""Distillation losses. Each takes lists of features by level, and boxes; none depends on a detector.

A new loss is one file here, named like the loss, whose class it names as ``LOSS``; and one line in
``LOSS_OPTIONS`` of ``mtpd.experiment.recipe_schema``. Its ``defaults(student, teacher)`` gives the authors'
values for kinds of detectors where they differ from the signature; a kind is ``two-stage``, ``anchor``
(RetinaNet, GFL, ATSS), ``point`` (RepPoints), ``fcos``, or, without own values, ``rtmdet`` or ``yolox``.
"""

from importlib import import_module

from torch import nn

from mtpd.experiment.recipe_schema import LOSS_OPTIONS


def loss_class(name: str) -> type[nn.Module]:
    """The class that the file of a loss names as ``LOSS``."""
    return import_module(f"{__name__}.{name.replace('-', '_')}").LOSS


LOSSES = {name: loss_class(name) for name in LOSS_OPTIONS}
