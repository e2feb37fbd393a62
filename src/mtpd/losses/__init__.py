"""Distillation losses. Each takes lists of features by level, and boxes, and knows no detector.

A new loss is one file and one line here. Its ``defaults(student, teacher)`` are what its authors use for
these kinds of detectors, where that is not what its signature says; a kind is ``two-stage``, ``anchor``
(RetinaNet, GFL, ATSS), ``point`` (RepPoints) or ``fcos``.
"""

from mtpd.losses.cwd import CWD
from mtpd.losses.feature_matching import FeatureMatching
from mtpd.losses.fgd import FGD
from mtpd.losses.mgd import MGD
from mtpd.losses.pkd import PKD

LOSSES = {"feature-matching": FeatureMatching, "cwd": CWD, "fgd": FGD, "mgd": MGD, "pkd": PKD}

__all__ = ["CWD", "FGD", "LOSSES", "MGD", "PKD", "FeatureMatching"]
